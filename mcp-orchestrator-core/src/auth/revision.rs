//! A signal that who is let in may have changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

/// Counts the changes that may take access away: a revoked token, a reloaded list of teams, gateways or issuers.
///
/// A request that was admitted once may still be answered when such a change comes, as an open stream is. Whoever serves it
/// subscribes and authenticates its request again after each change, instead of at each event. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct AccessRevision {
    count: Arc<AtomicU64>,
    changes: watch::Sender<()>,
}

impl AccessRevision {
    /// Notifies all subscribers. To be called after the change is visible to authenticators and routers.
    pub fn advance(&self) {
        self.count.fetch_add(1, Ordering::Release);
        self.changes.send_replace(());
    }

    /// How many changes there were. Cheap enough to be compared at every step of a request.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// A receiver that sees every change from now on. Changes that come close together may be seen as one.
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }
}
