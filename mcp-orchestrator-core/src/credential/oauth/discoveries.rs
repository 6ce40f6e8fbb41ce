//! What servers and issuers have said of themselves lately, so that many sign-ins ask them once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::discover::Discovered;
use super::errors::OAuthError;
use crate::id::ServerId;
use crate::limits::{FAILED_DISCOVERY_TTL, MAX_DISCOVERIES};
use crate::server::{Launch, OAuthEndpoints, OAuthSpec, ServerSpec};

/// Discoveries by what was asked.
#[derive(Debug, Default)]
pub(super) struct Discoveries(Mutex<HashMap<About, Arc<Turn>>>);

/// All that a discovery depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct About {
    server: ServerId,
    url: Option<String>,
    issuer: Option<String>,
    endpoints: OAuthEndpoints,
    /// The rest, as it is written.
    rest: String,
}

/// One who asks at a time; the others wait for the outcome.
type Turn = tokio::sync::Mutex<Option<(Instant, Outcome)>>;
type Outcome = Result<Arc<Discovered>, Arc<OAuthError>>;

impl Discoveries {
    /// What is known, if it is not older than this, else what `asked` finds. A failure is kept for those who ask at the same
    /// time.
    pub(super) async fn get<F>(
        &self,
        (server, oauth): (&ServerSpec, &OAuthSpec),
        ttl: Duration,
        asked: impl FnOnce() -> F,
    ) -> Result<Arc<Discovered>, OAuthError>
    where
        F: Future<Output = Result<Discovered, OAuthError>>,
    {
        let turn = self.turn(About::of(server, oauth));
        let mut known = turn.lock().await;
        if let Some((at, outcome)) = &*known {
            let lasts = if outcome.is_ok() {
                ttl
            } else {
                ttl.min(FAILED_DISCOVERY_TTL)
            };
            if at.elapsed() < lasts {
                return outcome.clone().map_err(OAuthError::Known);
            }
        }
        let outcome = Box::pin(asked()).await;
        let outcome = outcome.map(Arc::new).map_err(Arc::new);
        *known = Some((Instant::now(), outcome.clone()));
        outcome.map_err(OAuthError::Known)
    }

    /// A sign-in for this server came to its end: the next one asks anew, since the token may be of no use there.
    pub(super) fn forget(&self, server: &ServerId) {
        self.lock().retain(|about, _| about.server != *server);
    }

    fn turn(&self, about: About) -> Arc<Turn> {
        let mut all = self.lock();
        if all.len() >= MAX_DISCOVERIES && !all.contains_key(&about) {
            // Those that nobody waits for are of use to nobody who asks now.
            all.retain(|_, turn| Arc::strong_count(turn) > 1);
        }
        Arc::clone(all.entry(about).or_default())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<About, Arc<Turn>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl About {
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
