//! Fetches an issuer's metadata and keys. Redirects are not followed: no issuer needs them for these documents.

use std::time::Duration;

use http::StatusCode;
use secrecy::zeroize::Zeroizing;

use super::keys::KeySet;
use crate::fetch::{AddressGuard, Ask, Redirects, Trust, shown};
use crate::oauth::{IssuerMetadata, document, issuer_places};
use crate::outbound::Connector;

/// The configuration trusts the issuer to identify callers, and so also to say where its endpoints are.
pub(super) const TRUST: Trust<'static> = Trust::Configured;

/// Client for one issuer.
#[derive(Debug)]
pub(super) struct Fetcher {
    issuer: String,
    jwks_url: Option<String>,
    client: crate::fetch::Fetcher,
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

    /// Returns the client for small requests.
    pub(super) fn client(&self) -> &crate::fetch::Fetcher {
        &self.client
    }

    /// Fetches the issuer's current keys.
    pub(super) async fn keys(&self) -> Result<KeySet, String> {
        let place = match &self.jwks_url {
            Some(place) => Some(place.clone()),
            None => self.metadata().await?.jwks_uri,
        };
        let place = place.ok_or("its metadata names no jwks_uri")?;
        let answer = self.get(&place).await?;
        KeySet::parse(&answer).map_err(|error| format!("{}: {error}", shown(&place)))
    }

    /// Fetches the issuer's metadata.
    pub(super) async fn metadata(&self) -> Result<IssuerMetadata, String> {
        let mut errors = Vec::new();
        for place in issuer_places(&self.issuer) {
            match self.metadata_at(&place).await {
                Ok(metadata) => return Ok(metadata),
                Err(error) => errors.push(error),
            }
        }
        Err(errors.join("; "))
    }

    async fn metadata_at(&self, place: &str) -> Result<IssuerMetadata, String> {
        let access = (TRUST, Redirects::Answer);
        let metadata = document(&self.client, place, access, IssuerMetadata::read_named).await;
        let metadata = metadata.map_err(|error| error.to_string())?;
        if metadata.issuer != self.issuer {
            return Err(format!(
                "{}: the document names the issuer {:?}; set `issuer` to exactly that",
                shown(place),
                metadata.issuer.chars().take(200).collect::<String>()
            ));
        }
        if metadata.jwks_uri.is_none() {
            return Err(format!("{}: it names no jwks_uri", shown(place)));
        }
        if self.issuer.starts_with("https:") && !is_https(&metadata) {
            let place = shown(place);
            return Err(format!("{place}: it names an address that is not https"));
        }
        Ok(metadata)
    }

    async fn get(&self, place: &str) -> Result<Zeroizing<Vec<u8>>, String> {
        let ask = Ask::get(place, TRUST, Redirects::Answer);
        let answer = self
            .client
            .ask(ask)
            .await
            .map_err(|error| error.to_string())?;
        if answer.status != StatusCode::OK {
            return Err(format!(
                "{}: unexpected status {}",
                shown(place),
                answer.status
            ));
        }
        Ok(answer.body)
    }
}

/// Returns `true` if every endpoint uses `https`.
fn is_https(metadata: &IssuerMetadata) -> bool {
    let mut places = [
        &metadata.jwks_uri,
        &metadata.authorization_endpoint,
        &metadata.token_endpoint,
    ]
    .into_iter()
    .flatten();
    places.all(|place| place.starts_with("https:"))
}
