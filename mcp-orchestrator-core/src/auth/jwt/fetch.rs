//! Fetches an issuer's metadata and keys. Redirects are not followed: no issuer needs them for these documents.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode, Uri};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::keys::KeySet;
use crate::fetch::{AddressGuard, Ask, Redirects, Trust, shown};
use crate::outbound::Connector;

/// Client for one issuer.
#[derive(Debug)]
pub(super) struct Fetcher {
    issuer: String,
    jwks_url: Option<String>,
    client: crate::fetch::Fetcher,
}

/// The parts of an issuer's metadata that are used.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Metadata {
    issuer: String,
    jwks_uri: String,
    /// Where the browser is sent to sign in.
    pub(super) authorization_endpoint: Option<String>,
    /// Where authorization codes are exchanged for tokens.
    pub(super) token_endpoint: Option<String>,
    pub(super) token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Whether the issuer identifies itself in authorization responses (RFC 9207).
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
}

impl Metadata {
    /// Returns `true` if every endpoint uses `https`.
    fn is_https(&self) -> bool {
        let (page, tokens) = (&self.authorization_endpoint, &self.token_endpoint);
        let mut places = [Some(&self.jwks_uri), page.as_ref(), tokens.as_ref()]
            .into_iter()
            .flatten();
        places.all(|place| place.starts_with("https:"))
    }
}

impl Fetcher {
    pub(super) fn new(
        issuer: String,
        jwks_url: Option<String>,
        timeout: Duration,
        connector: Connector,
    ) -> Self {
        Self {
            issuer,
            jwks_url,
            client: crate::fetch::Fetcher::new(AddressGuard::default(), timeout, connector),
        }
    }

    /// Fetches the issuer's current keys.
    pub(super) async fn keys(&self) -> Result<KeySet, String> {
        let place = match &self.jwks_url {
            Some(place) => place.clone(),
            None => self.document().await?.jwks_uri,
        };
        let answer = self.get(&place).await?;
        KeySet::parse(&answer).map_err(|error| format!("{}: {error}", shown(&place)))
    }

    /// Fetches the issuer's metadata: OpenID Connect discovery first, then RFC 8414.
    pub(super) async fn document(&self) -> Result<Metadata, String> {
        let mut told = Vec::new();
        for place in metadata_places(&self.issuer) {
            match self.metadata(&place).await {
                Ok(metadata) => return Ok(metadata),
                Err(error) => told.push(error),
            }
        }
        Err(told.join("; "))
    }

    async fn metadata(&self, place: &str) -> Result<Metadata, String> {
        let answer = self.get(place).await?;
        let metadata: Metadata = serde_json::from_slice(&answer)
            .map_err(|_| format!("{}: what it answered is no metadata", shown(place)))?;
        if metadata.issuer != self.issuer {
            return Err(format!(
                "{}: it calls itself {:?}; `issuer` must be exactly that",
                shown(place),
                metadata.issuer.chars().take(200).collect::<String>()
            ));
        }
        if self.issuer.starts_with("https:") && !metadata.is_https() {
            let place = shown(place);
            return Err(format!("{place}: it names an address that is not https"));
        }
        Ok(metadata)
    }

    async fn get(&self, place: &str) -> Result<Zeroizing<Vec<u8>>, String> {
        // The configuration trusts the issuer to identify callers, and so also to say where its keys are.
        let ask = Ask::get(place, Trust::Configured, Redirects::Answer);
        let answer = self
            .client
            .ask(ask)
            .await
            .map_err(|error| error.to_string())?;
        if answer.status != StatusCode::OK {
            return Err(format!("{}: it answered {}", shown(place), answer.status));
        }
        Ok(answer.body)
    }

    /// Posts a form, with optional client authentication, and returns the response whatever its status.
    pub(super) async fn post(
        &self,
        place: &str,
        form: &SecretString,
        proof: Option<HeaderValue>,
    ) -> Result<(StatusCode, Zeroizing<Vec<u8>>), String> {
        let urlencoded = HeaderValue::from_static("application/x-www-form-urlencoded");
        let json = HeaderValue::from_static("application/json");
        let mut headers = vec![(ACCEPT, json), (CONTENT_TYPE, urlencoded)];
        headers.extend(proof.map(|proof| (AUTHORIZATION, proof)));
        let ask = Ask {
            method: Method::POST,
            place,
            headers,
            body: Bytes::copy_from_slice(form.expose_secret().as_bytes()),
            trust: Trust::Configured,
            redirects: Redirects::Answer,
        };
        let answer = self
            .client
            .ask(ask)
            .await
            .map_err(|error| error.to_string())?;
        Ok((answer.status, answer.body))
    }
}

/// Returns the URLs where an issuer's metadata may be published, in the order in which they are tried.
pub(super) fn metadata_places(issuer: &str) -> Vec<String> {
    let issuer = issuer.trim_end_matches('/');
    let mut places = vec![format!("{issuer}/.well-known/openid-configuration")];
    if let Ok(uri) = issuer.parse::<Uri>()
        && let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority())
    {
        let path = uri.path().trim_end_matches('/');
        places.push(format!(
            "{scheme}://{authority}/.well-known/oauth-authorization-server{path}"
        ));
    }
    places
}
