//! Tracks changes of what callers may do.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::watch;

/// Counts changes of gateways, people, credentials and tokens.
#[derive(Debug, Default)]
pub(crate) struct Rights {
    count: AtomicU64,
    changes: watch::Sender<()>,
    /// Set if requests that were admitted may no longer be.
    access: AtomicBool,
}

impl Rights {
    /// Returns the number of changes. What was authorized at another count is authorized again before it acts.
    pub(crate) fn now(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Records a change, which must already be visible.
    pub(crate) fn advance(&self) {
        self.count.fetch_add(1, Ordering::Release);
        self.changes.send_replace(());
    }

    /// Requests a check although nothing has changed that authorizes.
    pub(crate) fn check(&self) {
        self.changes.send_replace(());
    }

    pub(crate) fn advance_access(&self) {
        self.access.store(true, Ordering::Release);
        self.advance();
    }

    /// Includes access in the next check.
    pub(crate) fn check_access_again(&self) {
        self.access.store(true, Ordering::Release);
    }

    /// Returns `true` if access has to be checked, and clears the flag: the caller performs the check.
    pub(crate) fn take_access(&self) -> bool {
        self.access.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }
}
