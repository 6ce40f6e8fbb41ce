//! Asks an issuer for its metadata and its keys, without following redirects, which no issuer needs here.

use std::time::Duration;

use http::{StatusCode, Uri};
use secrecy::zeroize::Zeroizing;
use serde::Deserialize;

use super::keys::KeySet;
use crate::fetch::{AddressGuard, Ask, Redirects, Trust, shown};

/// One who asks an issuer.
#[derive(Debug)]
pub(super) struct Fetcher {
    issuer: String,
    jwks_url: Option<String>,
    client: crate::fetch::Fetcher,
}

/// What an issuer says of itself.
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

impl Fetcher {
    pub(super) fn new(issuer: String, jwks_url: Option<String>, timeout: Duration) -> Self {
        Self {
            issuer,
            jwks_url,
            client: crate::fetch::Fetcher::new(AddressGuard::default(), timeout),
        }
    }

    /// The issuer's keys of now.
    pub(super) async fn keys(&self) -> Result<KeySet, String> {
        let place = match &self.jwks_url {
            Some(place) => place.clone(),
            None => self.discovered().await?,
        };
        let answer = self.get(&place).await?;
        KeySet::parse(&answer).map_err(|error| format!("{}: {error}", shown(&place)))
    }

    /// Where the issuer says its keys are: OIDC discovery, else RFC 8414.
    async fn discovered(&self) -> Result<String, String> {
        let mut told = Vec::new();
        for place in metadata_places(&self.issuer) {
            match self.metadata(&place).await {
                Ok(place) => return Ok(place),
                Err(error) => told.push(error),
            }
        }
        Err(told.join("; "))
    }

    async fn metadata(&self, place: &str) -> Result<String, String> {
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
        if self.issuer.starts_with("https:") && !metadata.jwks_uri.starts_with("https:") {
            let place = shown(place);
            return Err(format!("{place}: its keys are not at an https address"));
        }
        Ok(metadata.jwks_uri)
    }

    async fn get(&self, place: &str) -> Result<Zeroizing<Vec<u8>>, String> {
        // The configuration trusts the issuer with who calls, and so with where its keys are.
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
}

/// Where an issuer's metadata may be.
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
