//! Cache of recent discoveries, so that concurrent sign-ins ask a server and its issuer only once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::discover::Discovered;
use super::errors::OAuthError;
use crate::id::ServerId;
use crate::limits::{FAILED_DISCOVERY_TTL, MAX_DISCOVERIES};
use crate::oauth::Recent;
use crate::server::{Launch, OAuthEndpoints, OAuthSpec, ServerSpec};

/// Cached discoveries by their inputs.
#[derive(Debug, Default)]
pub(super) struct Discoveries(Mutex<HashMap<DiscoveryInputs, Arc<CachedDiscovery>>>);

/// Everything that a discovery depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct DiscoveryInputs {
    server: ServerId,
    url: Option<String>,
    issuer: Option<String>,
    endpoints: OAuthEndpoints,
    /// The remaining inputs, formatted as text.
    rest: String,
}

type CachedDiscovery = Recent<Arc<Discovered>, Arc<OAuthError>>;

impl Discoveries {
    /// Returns the cached result if it is not older than `ttl`, or else runs `asked`. Failures are cached for a
    /// shorter time, for callers that ask concurrently.
    pub(super) async fn get<F>(
        &self,
        (server, oauth): (&ServerSpec, &OAuthSpec),
        ttl: Duration,
        asked: impl FnOnce() -> F,
    ) -> Result<Arc<Discovered>, OAuthError>
    where
        F: Future<Output = Result<Discovered, OAuthError>>,
    {
        let turn = self.turn(DiscoveryInputs::of(server, oauth));
        let ttl = (ttl, ttl.min(FAILED_DISCOVERY_TTL));
        let asked = async || asked().await.map(Arc::new).map_err(Arc::new);
        turn.get(ttl, asked).await.map_err(OAuthError::Known)
    }

    /// Forgets a server after a sign-in was completed: if the token turns out to be useless, the next sign-in must
    /// discover again.
    pub(super) fn forget(&self, server: &ServerId) {
        self.0.lock().retain(|about, _| about.server != *server);
    }

    fn turn(&self, about: DiscoveryInputs) -> Arc<CachedDiscovery> {
        let mut all = self.0.lock();
        if all.len() >= MAX_DISCOVERIES && !all.contains_key(&about) {
            // Entries that no caller is using are evicted.
            all.retain(|_, turn| Arc::strong_count(turn) > 1);
        }
        Arc::clone(all.entry(about).or_default())
    }
}

impl DiscoveryInputs {
    fn of(server: &ServerSpec, oauth: &OAuthSpec) -> Self {
        let mut url = None;
        if let Launch::Remote(remote) = &server.launch {
            url = Some(remote.url.to_string());
        }
        Self {
            server: server.id.clone(),
            url,
            issuer: oauth.issuer.clone(),
            endpoints: oauth.endpoints.clone(),
            rest: format!(
                "{:?} {:?} {:?} {}",
                oauth.grant,
                oauth.resource,
                oauth.scopes,
                oauth.has_secret()
            ),
        }
    }
}
