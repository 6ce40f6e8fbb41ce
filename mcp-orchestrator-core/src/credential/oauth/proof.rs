//! Client authentication at token endpoints.
//!
//! RFC 6749 defines one way per client, but deployed issuers differ: some look up the client by the form's
//! `client_id` even with Basic, some do not decode what Basic encodes, and some accept only a form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::byte_serialize;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use secrecy::ExposeSecret as _;
use secrecy::zeroize::Zeroizing;
use serde::{Deserialize, Serialize};

use super::client::Client;
use super::documents::IssuerMetadata;
use super::errors::OAuthError;
use crate::server::ClientAuth;

/// The authentication method that is tried first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Proof {
    #[serde(rename = "none")]
    None,
    #[serde(rename = "client_secret_basic")]
    Basic,
    #[serde(rename = "client_secret_post")]
    Post,
}

impl Proof {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic => "client_secret_basic",
            Self::Post => "client_secret_post",
        }
    }

    pub(super) fn of(word: &str) -> Option<Self> {
        let all = [Self::None, Self::Basic, Self::Post];
        all.into_iter().find(|proof| proof.as_str() == word)
    }

    /// Returns the best method that the issuer accepts.
    pub(super) fn choose(issuer: &IssuerMetadata, among: &[Self]) -> Self {
        let taken = issuer.token_endpoint_auth_methods_supported.as_deref();
        // RFC 8414: the default if the metadata does not name any.
        let Some(taken) = taken else {
            return Self::Basic;
        };
        let takes = |proof: &&Self| taken.iter().any(|word| word == proof.as_str());
        among.iter().find(takes).copied().unwrap_or(Self::Basic)
    }
}

impl From<ClientAuth> for Proof {
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
    pub(super) fn all(client: &Client, configured: Option<ClientAuth>) -> Vec<Self> {
        let first = configured.map_or(client.proof, Proof::from);
        let Some(secret) = &client.secret else {
            return vec![Self::Id];
        };
        let mut all = match first {
            Proof::None => return vec![Self::Id],
            Proof::Basic => vec![Self::BasicAndId, Self::Basic],
            Proof::Post => vec![Self::Post],
        };
        let secret = secret.0.expose_secret();
        let is_plain = |text: &str| byte_serialize(text.as_bytes()).collect::<String>() == text;
        if first == Proof::Basic && !(is_plain(&client.id) && is_plain(secret)) {
            all.push(Self::Plain);
        }
        match first {
            _ if configured.is_some() => {}
            Proof::Post => all.push(Self::BasicAndId),
            _ => all.push(Self::Post),
        }
        all
    }

    /// Returns the method to store if this attempt was accepted.
    pub(super) fn proof(self) -> Proof {
        match self {
            Self::Id => Proof::None,
            Self::BasicAndId | Self::Basic | Self::Plain => Proof::Basic,
            Self::Post => Proof::Post,
        }
    }

    /// Returns the `Authorization` header of this attempt, if it uses one.
    pub(super) fn header(
        self,
        client: &Client,
    ) -> Result<Option<(HeaderName, HeaderValue)>, OAuthError> {
        let secret = client.secret.as_ref();
        let Some(secret) = secret.map(|secret| secret.0.expose_secret()) else {
            return Ok(None);
        };
        let value = match self {
            Self::Id | Self::Post => return Ok(None),
            // RFC 6749, section 2.3.1: both parts are form-encoded before they are joined.
            Self::BasicAndId | Self::Basic => {
                let encoded = |text: &str| {
                    Zeroizing::new(byte_serialize(text.as_bytes()).collect::<String>())
                };
                basic(&encoded(&client.id), &encoded(secret))
            }
            Self::Plain => basic(&client.id, secret),
        };
        Ok(Some((AUTHORIZATION, value?)))
    }

    /// Returns the form members of this attempt.
    pub(super) fn members(self, client: &Client) -> impl Iterator<Item = (&str, &str)> {
        let id = (self != Self::Basic && self != Self::Plain)
            .then_some(("client_id", client.id.as_str()));
        let secret = client.secret.as_ref().filter(|_| self == Self::Post);
        let secret = secret.map(|secret| ("client_secret", secret.0.expose_secret()));
        id.into_iter().chain(secret)
    }
}

fn basic(id: &str, secret: &str) -> Result<HeaderValue, OAuthError> {
    let pair = Zeroizing::new(format!("{id}:{secret}"));
    let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| OAuthError::Refused("the client's secret cannot be sent".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::secret_json::SecretText;

    fn client(secret: Option<&str>, proof: Proof) -> Client {
        Client {
            id: "id:1".to_owned(),
            secret: secret.map(|secret| SecretText(secret.into())),
            proof,
        }
    }

    #[test]
    fn client_is_sent_in_every_form_issuers_accept() {
        use Attempt as A;
        let all = |secret, proof, configured| A::all(&client(secret, proof), configured);
        let (basic, post) = (Some(ClientAuth::Basic), Some(ClientAuth::Post));
        assert_eq!(
            all(Some("s"), Proof::Basic, None),
            [A::BasicAndId, A::Basic, A::Plain, A::Post]
        );
        assert_eq!(all(Some("s"), Proof::Post, None), [A::Post, A::BasicAndId]);
        assert_eq!(all(Some("s"), Proof::Basic, post), [A::Post]);
        assert_eq!(
            all(Some("s"), Proof::Post, basic),
            [A::BasicAndId, A::Basic, A::Plain]
        );
        assert_eq!(all(Some("s"), Proof::None, None), [A::Id]);
        assert_eq!(all(None, Proof::Basic, basic), [A::Id]);
    }

    #[test]
    fn client_secret_is_sent_in_one_place_and_encoded() {
        let client = client(Some("p w"), Proof::Basic);
        let header = |attempt: Attempt| attempt.header(&client).unwrap().map(|(_, value)| value);
        let value = header(Attempt::BasicAndId).unwrap();
        assert_eq!(value, format!("Basic {}", STANDARD.encode("id%3A1:p+w")));
        assert!(value.is_sensitive());
        let value = header(Attempt::Plain).unwrap();
        assert_eq!(value, format!("Basic {}", STANDARD.encode("id:1:p w")));
        assert_eq!(header(Attempt::Post), None);
        let members = |attempt: Attempt| attempt.members(&client).collect::<Vec<_>>();
        assert_eq!(members(Attempt::BasicAndId), [("client_id", "id:1")]);
        assert_eq!(
            members(Attempt::Post),
            [("client_id", "id:1"), ("client_secret", "p w")]
        );
        assert!(members(Attempt::Basic).is_empty());
    }
}
