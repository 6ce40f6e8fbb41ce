//! Requests to the token endpoint: a form with the client's authentication.

use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_TYPE, HeaderValue};
use secrecy::ExposeSecret as _;
use secrecy::zeroize::Zeroizing;

use super::client::Client;
use super::documents::{Refusal, Token, token_answer};
use super::errors::{OAuthError, RETRY_INTERVAL};
use super::proof::Attempt;
use crate::fetch::{Ask, Fetcher, Redirects, Site, Trust};
use crate::server::OAuthSpec;

/// The token endpoint of an issuer, as used by one client.
pub(super) struct TokenEndpoint<'a> {
    pub(super) fetcher: &'a Fetcher,
    pub(super) free: &'a [Site],
    pub(super) place: &'a str,
    pub(super) client: &'a Client,
    pub(super) oauth: &'a OAuthSpec,
}

impl TokenEndpoint<'_> {
    /// Sends these parameters and those added by the configuration. Returns the token, and the client with the
    /// authentication method that was accepted, which is then tried first.
    ///
    /// If the issuer does not recognize the client, the request is repeated with the other authentication methods
    /// that deployed issuers expect, unless the configuration names one.
    ///
    /// # Errors
    /// [`OAuthError::Refused`] if a retry would not help; any other error may be temporary.
    pub(super) async fn ask(
        &self,
        parameters: &[(&str, &str)],
    ) -> Result<(Token, Client), OAuthError> {
        let attempts = Attempt::all(self.client, self.oauth.client_auth);
        let mut first = None;
        for attempt in attempts {
            let refusal = match self.once(&attempt, parameters).await {
                Ok(token) => {
                    let client = self.client.proving_by(attempt.proof());
                    return Ok((token, client));
                }
                Err(refusal) => refusal,
            };
            let unrecognized = matches!(
                &refusal,
                OAuthError::Refused(code) if matches!(code.as_str(), "invalid_client" | "invalid_request")
            );
            if !unrecognized {
                // A later attempt that fails for another reason says nothing about the client.
                return Err(first.unwrap_or(refusal));
            }
            first.get_or_insert(refusal);
        }
        Err(first.unwrap_or_else(|| OAuthError::Refused("no_client_authentication".to_owned())))
    }

    async fn once(
        &self,
        attempt: &Attempt,
        parameters: &[(&str, &str)],
    ) -> Result<Token, OAuthError> {
        let urlencoded = HeaderValue::from_static("application/x-www-form-urlencoded");
        let place = Ask::get(self.place, Trust::Told(self.free), Redirects::Answer);
        let mut headers = place.headers.clone();
        headers.push((CONTENT_TYPE, urlencoded));
        headers.extend(attempt.header(self.client)?);
        let configured = self.oauth.token_parameters.iter();
        let configured = configured.map(|(name, value)| (name.as_str(), value.expose_secret()));
        let own = parameters.iter().copied();
        let all: Vec<(&str, &str)> = own
            .chain(configured)
            .chain(attempt.members(self.client))
            .collect();
        let ask = Ask {
            method: Method::POST,
            headers,
            body: form(&all),
            ..place
        };
        let answer = self.fetcher.ask(ask).await?;
        token_answer(&answer).map_err(|refusal| match refusal {
            Refusal::Final(code) => OAuthError::Refused(code),
            Refusal::Passing { why, after } => OAuthError::NotNow {
                why,
                after: after.unwrap_or(RETRY_INTERVAL),
            },
            Refusal::Foreign(why) => OAuthError::Foreign(why),
        })
    }
}

/// Encodes the body in a single buffer, which is wiped on drop.
fn form(parameters: &[(&str, &str)]) -> Bytes {
    let length = |(name, value): &(&str, &str)| 3 * (name.len() + value.len()) + 2;
    let most = parameters.iter().map(length).sum();
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

    #[test]
    fn a_form_is_encoded() {
        let parameters = [("grant_type", "a b"), ("x", "ü&=")];
        assert_eq!(form(&parameters), "grant_type=a+b&x=%C3%BC%26%3D");
    }
}
