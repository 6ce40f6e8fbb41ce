//! A signal that who is let in may have changed.

use tokio::sync::watch;

/// Counts the changes that may take access away: a revoked token, a reloaded list of teams, gateways or issuers.
///
/// A request that was admitted once may still be answered when such a change comes, as an open stream is. Whoever serves it
/// subscribes and authenticates its request again after each change, instead of at each event. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct AccessRevision(watch::Sender<u64>);

impl AccessRevision {
    /// Notifies all subscribers. To be called after the change is visible to authenticators and routers.
    pub fn advance(&self) {
        self.0.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// A receiver that sees every change from now on. Changes that come close together may be seen as one.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}
