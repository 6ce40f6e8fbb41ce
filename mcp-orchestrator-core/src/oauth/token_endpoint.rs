//! Requests to the token endpoint: a form with the client's authentication.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_TYPE, HeaderValue};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};

use super::client_auth::{Attempt, AuthMethod, ClientCredentials};
use super::token_response::Refusal;
use crate::fetch::{Answer, Ask, FetchError, Fetcher, Redirects, Trust};

/// The token endpoint of an issuer, as used by one client.
pub(crate) struct TokenEndpoint<'a> {
    pub(crate) fetcher: &'a Fetcher,
    pub(crate) trust: Trust<'a>,
    pub(crate) place: &'a str,
    pub(crate) client: ClientCredentials<'a>,
    /// The only authentication method to use, if it is configured.
    pub(crate) configured: Option<AuthMethod>,
    /// Parameters that the configuration adds.
    pub(crate) extra: &'a [(String, SecretString)],
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("{0}")]
    Fetch(#[from] FetchError),
    /// The issuer's error code; a retry would not help.
    #[error("{0}")]
    Refused(String),
    /// The failure may be temporary.
    #[error("{why}")]
    NotNow {
        why: String,
        after: Option<Duration>,
    },
    /// Not a response of a token endpoint.
    #[error("{0}")]
    Foreign(String),
}

impl From<Refusal> for TokenError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Final(code) => Self::Refused(code),
            Refusal::Passing { why, after } => Self::NotNow { why, after },
            Refusal::Foreign(why) => Self::Foreign(why),
        }
    }
}

impl TokenEndpoint<'_> {
    /// Sends these parameters and those added by the configuration. Returns what `read` finds in the response, and the
    /// authentication method that was accepted, which is best tried first the next time.
    ///
    /// If the issuer does not recognize the client, the request is repeated with the other authentication methods
    /// that deployed issuers expect, unless the configuration names one.
    ///
    /// # Errors
    /// [`TokenError::Refused`] if a retry would not help; any other error may be temporary.
    pub(crate) async fn ask<T>(
        &self,
        parameters: &[(&str, &str)],
        read: fn(&Answer) -> Result<T, Refusal>,
    ) -> Result<(T, AuthMethod), TokenError> {
        let mut first = None;
        for attempt in Attempt::all(self.client, self.configured) {
            let refusal = match self.once(attempt, parameters).await {
                Ok(answer) => match read(&answer) {
                    Ok(token) => return Ok((token, attempt.method())),
                    Err(refusal) => refusal.into(),
                },
                Err(error) => error,
            };
            let unrecognized = matches!(
                &refusal,
                TokenError::Refused(code) if matches!(code.as_str(), "invalid_client" | "invalid_request")
            );
            if !unrecognized {
                // A later attempt that fails for another reason says nothing about the client.
                return Err(first.unwrap_or(refusal));
            }
            first.get_or_insert(refusal);
        }
        Err(first.unwrap_or_else(|| TokenError::Refused("no_client_authentication".to_owned())))
    }

    async fn once(
        &self,
        attempt: Attempt,
        parameters: &[(&str, &str)],
    ) -> Result<Answer, TokenError> {
        let urlencoded = HeaderValue::from_static("application/x-www-form-urlencoded");
        let place = Ask::get(self.place, self.trust, Redirects::Answer);
        let mut headers = place.headers.clone();
        headers.push((CONTENT_TYPE, urlencoded));
        let header = attempt.header(self.client);
        let unusable = |_| TokenError::Refused("the client's secret cannot be sent".to_owned());
        headers.extend(header.map_err(unusable)?);
        let extra = self.extra.iter();
        let extra = extra.map(|(name, value)| (name.as_str(), value.expose_secret()));
        let own = parameters.iter().copied();
        let all: Vec<(&str, &str)> = own
            .chain(extra)
            .chain(attempt.members(self.client))
            .collect();
        let ask = Ask {
            method: Method::POST,
            headers,
            body: form(&all),
            ..place
        };
        Ok(self.fetcher.ask(ask).await?)
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
    fn form_is_encoded() {
        let parameters = [("grant_type", "a b"), ("x", "ü&=")];
        assert_eq!(form(&parameters), "grant_type=a+b&x=%C3%BC%26%3D");
    }
}
