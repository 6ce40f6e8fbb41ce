//! The state that all parts of the orchestrator share.

pub(super) mod audit_trail;
pub(super) mod concurrency;
pub(super) mod conflict_log;
pub(super) mod connection_checks;
pub(super) mod context;
pub(super) mod instance_history;
pub(super) mod list_fetches;
pub(super) mod listeners;
pub(super) mod parked_calls;
pub(super) mod rights;
pub(super) mod subscriptions;
pub(super) mod tasks;
pub(super) mod upstream_subscriptions;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::Semaphore;

use self::list_fetches::ListFetch;
use self::listeners::Listeners;
use self::subscriptions::Subscriptions;
use self::tasks::Tasks;
use crate::audit::Audit;
use crate::auth::Directory;
use crate::catalog::{Catalog, ListKey};
use crate::credential::{Credential, CredentialResolver, Links};
use crate::id::PrincipalId;
use crate::limits::MAX_MODERN_CALLERS;
use crate::metrics::Metrics;
use crate::pool::Pool;
use crate::router::Router;
use crate::runtime::LogBook;
use crate::seal::StateKey;
use crate::session::Sessions;
use crate::trace_context::TracePropagator;
use crate::transport::Party;

/// Routes each call to the instance that belongs to its caller. Cheap to clone.
///
/// Dropping the last clone ends everything at once; [`shutdown`](Self::shutdown) lets calls finish.
#[derive(Clone)]
pub struct Orchestrator {
    pub(super) inner: Arc<Inner>,
    pub(super) _held: Arc<CancelOnDrop>,
}

/// Shared by the clones of an orchestrator only, so that dropping the last one cancels the tasks, which share `Inner`.
pub(super) struct CancelOnDrop(pub(super) tokio_util::sync::CancellationToken);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// State shared by all parts.
pub(super) struct Inner {
    /// For tasks that outlive a call.
    pub(super) this: Weak<Self>,
    pub(super) router: Arc<dyn Router>,
    pub(super) resolver: Arc<dyn CredentialResolver>,
    pub(super) pool: Arc<Pool>,
    pub(super) catalog: Catalog,
    pub(super) sessions: Sessions,
    pub(super) parties: RwLock<HashMap<PrincipalId, Party>>,
    pub(super) listeners: Listeners,
    pub(super) subscriptions: Subscriptions,
    pub(super) tasks: Tasks,
    pub(super) refreshing: Mutex<HashMap<ListKey, ListFetch>>,
    pub(super) learning: Semaphore,
    /// Servers that had not described themselves, and since when a caller has waited for them.
    pub(super) met: Mutex<HashMap<ListKey, tokio::time::Instant>>,
    pub(super) connection_checks: connection_checks::ConnectionChecks,
    pub(super) key: Arc<StateKey>,
    pub(super) logs: LogBook,
    pub(super) seen: instance_history::InstanceHistory,
    pub(super) told: conflict_log::ConflictLog,
    /// The same for overrides of tools.
    pub(super) told_overrides: conflict_log::ConflictLog,
    pub(super) logged: conflict_log::LoggedFacts,
    pub(super) metrics: Arc<Metrics>,
    /// `None`: traces are not continued.
    pub(super) propagator: OnceLock<Arc<dyn TracePropagator>>,
    pub(super) no_credential: Arc<Credential>,
    pub(super) session_idle: Duration,
    pub(super) install_with: Option<Arc<str>>,
    pub(super) links: Option<Arc<Links>>,
    pub(super) auth_wait: Duration,
    pub(super) parking: concurrency::Parking,
    /// How long a call waits for the answers of its client.
    pub(super) input_wait: Duration,
    pub(super) parked_calls: parked_calls::ParkedCalls,
    /// Incremented when a credential changes.
    pub(super) credentials_changed: tokio::sync::watch::Sender<u64>,
    pub(super) audit: arc_swap::ArcSwap<Audit>,
    pub(super) in_flight: concurrency::InFlight,
    /// Current teams; `None`: principals keep the teams of their last request.
    pub(super) directory: Option<Arc<Directory>>,
    pub(super) rights: rights::Rights,
    pub(super) draining: tokio_util::sync::CancellationToken,
}

impl Inner {
    /// Returns a strong reference, unless the orchestrator is gone.
    pub(super) fn me(&self) -> Option<Arc<Self>> {
        self.this.upgrade()
    }

    /// Returns the party of a modern caller, which its principal determines.
    pub(super) fn party_of(&self, principal: &PrincipalId) -> Party {
        let known = self.parties.read().get(principal).copied();
        known.unwrap_or_else(|| {
            let mut parties = self.parties.write();
            if parties.len() >= MAX_MODERN_CALLERS {
                parties.clear();
            }
            *parties
                .entry(principal.clone())
                .or_insert_with(|| self.sessions.party())
        })
    }
}

impl fmt::Debug for Orchestrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Orchestrator")
            .field("router", &self.inner.router)
            .finish_non_exhaustive()
    }
}
