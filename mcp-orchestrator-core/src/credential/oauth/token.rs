//! The token endpoint: a question in a form, and an answer that is a token, a refusal for good, or a failure for now.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use form_urlencoded::byte_serialize;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::client::{Client, Proof};
use super::errors::{AGAIN, OAuthError, code};
use crate::credential::json::SecretText;
use crate::fetch::{Answer, Ask, Fetcher, Redirects, Site, Trust};

/// The longest life that is believed.
const LONGEST: Duration = Duration::from_hours(24 * 3660);
/// The longest wait that an issuer can ask for.
const WAIT: Duration = Duration::from_mins(5);

/// Asks an issuer for tokens.
pub(super) struct TokenEndpoint<'a> {
    pub(super) fetcher: &'a Fetcher,
    pub(super) free: &'a [Site],
    pub(super) place: &'a str,
    pub(super) client: &'a Client,
}

/// A token, and what belongs to it.
pub(super) struct Token {
    pub(super) access: SecretString,
    pub(super) refresh: Option<SecretString>,
    pub(super) life: Option<Duration>,
    /// What it allows; `None`: what was asked for.
    pub(super) scopes: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Given {
    access_token: SecretText,
    token_type: Option<String>,
    refresh_token: Option<SecretText>,
    #[serde(default)]
    expires_in: Seconds,
    scope: Option<String>,
}

/// Seconds as a number or, from some issuers, a text.
#[derive(Default, Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(f64),
    Text(String),
    #[default]
    None,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl TokenEndpoint<'_> {
    /// Asks with these parameters.
    ///
    /// # Errors
    /// [`OAuthError::Refused`] where it is for good, else what may pass.
    pub(super) async fn ask(&self, parameters: &[(&str, &str)]) -> Result<Token, OAuthError> {
        let (mut headers, mut more) = (Vec::new(), Vec::new());
        let urlencoded = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.push((CONTENT_TYPE, urlencoded));
        let secret = self
            .client
            .secret
            .as_ref()
            .map(|secret| secret.0.expose_secret());
        match (self.client.proof, secret) {
            (Proof::Basic, Some(secret)) => {
                headers.push((AUTHORIZATION, basic(&self.client.id, secret)?));
            }
            (Proof::Post, Some(secret)) => {
                more.push(("client_id", self.client.id.as_str()));
                more.push(("client_secret", secret));
            }
            _ => more.push(("client_id", self.client.id.as_str())),
        }
        let place = Ask::get(self.place, Trust::Told(self.free), Redirects::Answer);
        headers.extend(place.headers.iter().cloned());
        let ask = Ask {
            method: Method::POST,
            headers,
            body: form(parameters.iter().chain(&more)),
            ..place
        };
        let answer = self.fetcher.ask(ask).await?;
        read(&answer)
    }
}

fn read(answer: &Answer) -> Result<Token, OAuthError> {
    if !answer.status.is_success() {
        return Err(refusal(answer));
    }
    let not_now = |why: &str| OAuthError::NotNow {
        why: why.to_owned(),
        after: AGAIN,
    };
    // What serde says may hold a part of it.
    let given: Given =
        serde_json::from_slice(&answer.body).map_err(|_| not_now("its answer cannot be read"))?;
    let kind = given.token_type.as_deref().unwrap_or("bearer");
    if !kind.eq_ignore_ascii_case("bearer") {
        return Err(not_now("its token is of a kind that cannot be used here"));
    }
    if HeaderValue::from_str(given.access_token.0.expose_secret()).is_err() {
        return Err(not_now(
            "its token holds a character that no header may hold",
        ));
    }
    let seconds = match given.expires_in {
        Seconds::Number(seconds) => Some(seconds),
        Seconds::Text(text) => text.trim().parse().ok(),
        Seconds::None => None,
    };
    let life = seconds.filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0);
    let words = |text: String| text.split_ascii_whitespace().map(Into::into).collect();
    Ok(Token {
        access: given.access_token.0,
        refresh: given.refresh_token.map(|text| text.0),
        life: life.map(|seconds| {
            Duration::try_from_secs_f64(seconds).map_or(LONGEST, |life| life.min(LONGEST))
        }),
        scopes: given.scope.map(words),
    })
}

/// What a refusal means. Only an issuer that says why says it for good: a proxy before it may answer anything.
fn refusal(answer: &Answer) -> OAuthError {
    let passing = |why: String| OAuthError::NotNow {
        why,
        after: retry_after(&answer.headers).unwrap_or(AGAIN),
    };
    let status = answer.status;
    let told = serde_json::from_slice::<Refusal>(&answer.body).ok();
    let for_now = ["temporarily_unavailable", "server_error", "slow_down"];
    match told {
        Some(Refusal { error })
            if status.is_client_error()
                && status != StatusCode::TOO_MANY_REQUESTS
                && status != StatusCode::REQUEST_TIMEOUT
                && !for_now.contains(&error.as_str()) =>
        {
            OAuthError::Refused(code(&error))
        }
        Some(Refusal { error }) => passing(format!(
            "it answered HTTP {} ({})",
            status.as_u16(),
            code(&error)
        )),
        None => passing(format!("it answered HTTP {}", status.as_u16())),
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?;
    let wait = Duration::from_secs(seconds.trim().parse().ok()?);
    Some(wait.min(WAIT))
}

/// RFC 6749, 2.3.1: both are form-encoded before they are put together.
fn basic(id: &str, secret: &str) -> Result<HeaderValue, OAuthError> {
    let encoded = |text: &str| Zeroizing::new(byte_serialize(text.as_bytes()).collect::<String>());
    let pair = Zeroizing::new(format!("{}:{}", *encoded(id), *encoded(secret)));
    let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| OAuthError::Refused("the client's secret cannot be sent".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The body, in one buffer that is wiped.
fn form<'p>(parameters: impl Iterator<Item = &'p (&'p str, &'p str)> + Clone) -> Bytes {
    let length = |(name, value): &(&str, &str)| 3 * (name.len() + value.len()) + 2;
    let most = parameters.clone().map(length).sum();
    let text = String::with_capacity(most);
    let mut serializer = form_urlencoded::Serializer::new(text);
    serializer.extend_pairs(parameters);
    Bytes::from_owner(Wiped(Zeroizing::new(serializer.finish())))
}

struct Wiped(Zeroizing<String>);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("7"))]),
            body: Zeroizing::new(body.as_bytes().to_vec()),
        }
    }

    #[test]
    fn an_answer_is_a_token_or_it_is_not() {
        let read = |body: &str| read(&answer(200, body));
        let token =
            read(r#"{"access_token":"a","token_type":"bearer","expires_in":60,"scope":"x  y"}"#);
        let token = token.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(token.life, Some(Duration::from_mins(1)));
        assert_eq!(token.scopes, Some(vec!["x".to_owned(), "y".to_owned()]));
        assert!(token.refresh.is_none());
        for (life, expected) in [
            (r#""60""#, Some(Duration::from_mins(1))),
            ("0", Some(Duration::ZERO)),
            ("-1", None),
            ("1e300", Some(LONGEST)),
            (r#""soon""#, None),
            ("null", None),
        ] {
            let token = read(&format!(r#"{{"access_token":"a","expires_in":{life}}}"#));
            assert_eq!(
                token.unwrap_or_else(|error| panic!("{error}")).life,
                expected,
                "{life}"
            );
        }
        for wrong in [
            "",
            "{}",
            r#"{"access_token":"canary","token_type":"mac"}"#,
            r#"{"access_token":"canary\n"}"#,
            r#"{"access_token":["canary"]}"#,
        ] {
            let error = read(wrong).err().unwrap();
            assert!(
                matches!(error, OAuthError::NotNow { .. }),
                "{wrong}: {error}"
            );
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }

    #[test]
    fn a_refusal_is_for_good_only_where_the_issuer_says_why() {
        let rows = [
            (
                400,
                r#"{"error":"invalid_grant","error_description":"canary"}"#,
                true,
            ),
            (401, r#"{"error":"invalid_client"}"#, true),
            (400, r#"{"error":"temporarily_unavailable"}"#, false),
            (429, r#"{"error":"invalid_grant"}"#, false),
            (503, r#"{"error":"invalid_grant"}"#, false),
            (400, "<html>canary</html>", false),
            (403, "", false),
            (302, "", false),
        ];
        for (status, body, good) in rows {
            let error = read(&answer(status, body)).err().unwrap();
            assert_eq!(
                matches!(error, OAuthError::Refused(_)),
                good,
                "{status} {body}: {error}"
            );
            assert!(!error.to_string().contains("canary"), "{error}");
            if let OAuthError::NotNow { after, .. } = error {
                assert_eq!(after, Duration::from_secs(7));
            }
        }
    }

    #[test]
    fn a_form_and_a_secret_are_encoded() {
        let parameters = [("grant_type", "a b"), ("x", "ü&=")];
        assert_eq!(form(parameters.iter()), "grant_type=a+b&x=%C3%BC%26%3D");
        let value = basic("id:1", "p w").unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(value, format!("Basic {}", STANDARD.encode("id%3A1:p+w")));
        assert!(value.is_sensitive());
    }
}
