//! Change signal for access rules.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

/// Counts changes that may revoke access: a revoked token, or a reloaded list of teams, gateways or issuers.
///
/// A request that was admitted before the change may still be in progress, as an open stream is. Its handler subscribes
/// and authenticates the request again after each change, instead of at each event. Clones share one counter.
#[derive(Clone, Debug, Default)]
pub struct AccessRevision {
    count: Arc<AtomicU64>,
    changes: watch::Sender<()>,
}

impl AccessRevision {
    /// Notifies all subscribers. Call it after the change is visible to authenticators and routers.
    pub fn advance(&self) {
        self.count.fetch_add(1, Ordering::Release);
        self.changes.send_replace(());
    }

    /// Returns the number of changes so far. Cheap enough to compare at every step of a request.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Returns a receiver of all later changes. Changes in quick succession may be seen as one.
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }
}
