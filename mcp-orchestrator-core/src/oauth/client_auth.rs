//! Client authentication at token endpoints.
//!
//! RFC 6749 defines one way per client, but deployed issuers differ: some look up the client by the form's
//! `client_id` even with Basic, some do not decode what Basic encodes, and some accept only a form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::byte_serialize;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue, InvalidHeaderValue};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::issuer::IssuerMetadata;
use crate::server::ClientAuth;

/// A client at an issuer.
#[derive(Clone, Copy)]
pub(crate) struct ClientCredentials<'a> {
    pub(crate) id: &'a str,
    pub(crate) secret: Option<&'a SecretString>,
    /// The authentication method that is tried first.
    pub(crate) method: AuthMethod,
}

/// An authentication method of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum AuthMethod {
    #[serde(rename = "none")]
    None,
    #[serde(rename = "client_secret_basic")]
    Basic,
    #[serde(rename = "client_secret_post")]
    Post,
}

impl AuthMethod {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic => "client_secret_basic",
            Self::Post => "client_secret_post",
        }
    }

    pub(crate) fn of(word: &str) -> Option<Self> {
        let all = [Self::None, Self::Basic, Self::Post];
        all.into_iter().find(|method| method.as_str() == word)
    }

    /// Returns the best method that the issuer accepts.
    pub(crate) fn choose(issuer: &IssuerMetadata, among: &[Self]) -> Self {
        let taken = issuer.token_endpoint_auth_methods_supported.as_deref();
        // RFC 8414: the default if the metadata does not name any.
        let Some(taken) = taken else {
            return Self::Basic;
        };
        let takes = |method: &&Self| taken.iter().any(|word| word == method.as_str());
        among.iter().find(takes).copied().unwrap_or(Self::Basic)
    }
}

impl From<ClientAuth> for AuthMethod {
    fn from(auth: ClientAuth) -> Self {
        match auth {
            ClientAuth::None => Self::None,
            ClientAuth::Basic => Self::Basic,
            ClientAuth::Post => Self::Post,
        }
    }
}

/// One way to send the client's authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// The client ID alone, in the form.
    Id,
    /// Basic, with the client ID also in the form.
    BasicAndId,
    /// Basic alone.
    Basic,
    /// Basic without form-encoding the parts first.
    Plain,
    /// Client ID and secret in the form.
    Post,
}

impl Attempt {
    /// Returns the ways to try, in order.
    pub(super) fn all(client: ClientCredentials<'_>, configured: Option<AuthMethod>) -> Vec<Self> {
        let first = configured.unwrap_or(client.method);
        let Some(secret) = client.secret else {
            return vec![Self::Id];
        };
        let mut all = match first {
            AuthMethod::None => return vec![Self::Id],
            AuthMethod::Basic => vec![Self::BasicAndId, Self::Basic],
            AuthMethod::Post => vec![Self::Post],
        };
        let secret = secret.expose_secret();
        let is_plain = |text: &str| byte_serialize(text.as_bytes()).collect::<String>() == text;
        if first == AuthMethod::Basic && !(is_plain(client.id) && is_plain(secret)) {
            all.push(Self::Plain);
        }
        match first {
            _ if configured.is_some() => {}
            AuthMethod::Post => all.push(Self::BasicAndId),
            _ => all.push(Self::Post),
        }
        all
    }

    /// Returns the method to store if this attempt was accepted.
    pub(super) fn method(self) -> AuthMethod {
        match self {
            Self::Id => AuthMethod::None,
            Self::BasicAndId | Self::Basic | Self::Plain => AuthMethod::Basic,
            Self::Post => AuthMethod::Post,
        }
    }

    /// Returns the `Authorization` header of this attempt, if it uses one.
    pub(super) fn header(
        self,
        client: ClientCredentials<'_>,
    ) -> Result<Option<(HeaderName, HeaderValue)>, InvalidHeaderValue> {
        let Some(secret) = client.secret.map(|secret| secret.expose_secret()) else {
            return Ok(None);
        };
        let value = match self {
            Self::Id | Self::Post => return Ok(None),
            // RFC 6749, section 2.3.1: both parts are form-encoded before they are joined.
            Self::BasicAndId | Self::Basic => {
                let encoded = |text: &str| {
                    Zeroizing::new(byte_serialize(text.as_bytes()).collect::<String>())
                };
                basic(&encoded(client.id), &encoded(secret))
            }
            Self::Plain => basic(client.id, secret),
        };
        Ok(Some((AUTHORIZATION, value?)))
    }

    /// Returns the form members of this attempt.
    pub(super) fn members<'a>(
        self,
        client: ClientCredentials<'a>,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let id = (self != Self::Basic && self != Self::Plain).then_some(("client_id", client.id));
        let secret = client.secret.filter(|_| self == Self::Post);
        let secret = secret.map(|secret| ("client_secret", secret.expose_secret()));
        id.into_iter().chain(secret)
    }
}

fn basic(id: &str, secret: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let pair = Zeroizing::new(format!("{id}:{secret}"));
    let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    let mut value = HeaderValue::from_str(&text)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(secret: Option<&SecretString>, method: AuthMethod) -> ClientCredentials<'_> {
        ClientCredentials {
            id: "id:1",
            secret,
            method,
        }
    }

    #[test]
    fn client_is_sent_in_every_form_issuers_accept() {
        use Attempt as A;
        let known = SecretString::from("s");
        let all = |secret: Option<()>, method, configured| {
            A::all(client(secret.map(|()| &known), method), configured)
        };
        let (basic, post) = (Some(AuthMethod::Basic), Some(AuthMethod::Post));
        assert_eq!(
            all(Some(()), AuthMethod::Basic, None),
            [A::BasicAndId, A::Basic, A::Plain, A::Post]
        );
        assert_eq!(
            all(Some(()), AuthMethod::Post, None),
            [A::Post, A::BasicAndId]
        );
        assert_eq!(all(Some(()), AuthMethod::Basic, post), [A::Post]);
        assert_eq!(
            all(Some(()), AuthMethod::Post, basic),
            [A::BasicAndId, A::Basic, A::Plain]
        );
        assert_eq!(all(Some(()), AuthMethod::None, None), [A::Id]);
        assert_eq!(all(None, AuthMethod::Basic, basic), [A::Id]);
    }

    #[test]
    fn client_secret_is_sent_in_one_place_and_encoded() {
        let secret = SecretString::from("p w");
        let client = client(Some(&secret), AuthMethod::Basic);
        let header = |attempt: Attempt| attempt.header(client).unwrap().map(|(_, value)| value);
        let value = header(Attempt::BasicAndId).unwrap();
        assert_eq!(value, format!("Basic {}", STANDARD.encode("id%3A1:p+w")));
        assert!(value.is_sensitive());
        let value = header(Attempt::Plain).unwrap();
        assert_eq!(value, format!("Basic {}", STANDARD.encode("id:1:p w")));
        assert_eq!(header(Attempt::Post), None);
        let members = |attempt: Attempt| attempt.members(client).collect::<Vec<_>>();
        assert_eq!(members(Attempt::BasicAndId), [("client_id", "id:1")]);
        assert_eq!(
            members(Attempt::Post),
            [("client_id", "id:1"), ("client_secret", "p w")]
        );
        assert!(members(Attempt::Basic).is_empty());
    }
}
