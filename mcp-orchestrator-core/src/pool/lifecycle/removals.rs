//! Removes instances in the background, retries until the removal succeeds, and reports pending removals.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::Instant;

use crate::backoff::delay;
use crate::credential::{CredentialChange, Owner};
use crate::error::Error;
use crate::id::ServerId;
use crate::limits::{MAX_REMOVAL_RETRY_INTERVAL, REMOVALS_AT_ONCE};
use crate::pool::Pool;
use crate::runtime::InstanceKey;

/// Grace period between the request to stop and the forced stop.
pub(crate) const GRACE: Duration = Duration::from_secs(3);

/// The delay after the first failed attempt.
const FIRST_RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// A pending removal.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) key: InstanceKey,
    pub(crate) since: SystemTime,
    /// Why the last attempt failed.
    pub(crate) error: Option<Arc<str>>,
}

/// All pending removals.
pub(crate) struct Removals {
    pending: Mutex<HashMap<InstanceKey, Removal>>,
    turns: Semaphore,
    changes: watch::Sender<()>,
}

struct Removal {
    since: SystemTime,
    underway: bool,
    tries: u32,
    next: Instant,
    error: Option<Arc<str>>,
}

impl Default for Removals {
    fn default() -> Self {
        Self {
            pending: Mutex::default(),
            turns: Semaphore::new(REMOVALS_AT_ONCE),
            changes: watch::Sender::default(),
        }
    }
}

impl Default for Removal {
    fn default() -> Self {
        Self {
            since: SystemTime::now(),
            underway: false,
            tries: 0,
            next: Instant::now(),
            error: None,
        }
    }
}

impl Removals {
    /// Waits for one of the limited number of concurrent removals.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire().await.ok()
    }

    /// Returns `true` if the caller may carry out the removal now.
    fn begin(&self, key: &InstanceKey) -> bool {
        let mut pending = self.pending.lock();
        let removal = pending.entry(key.clone()).or_default();
        let begins = !removal.underway && removal.next <= Instant::now();
        removal.underway |= begins;
        begins
    }

    /// Settles a removal: the instance is gone, or it is wanted again.
    pub(crate) fn done(&self, key: &InstanceKey) {
        if let Some(removal) = self.pending.lock().remove(key)
            && removal.tries > 0
        {
            tracing::info!(server = %key.server(), owner = %key.owner(), instance = %key, tries = removal.tries, "a pending removal of an instance is settled");
        }
        self.changed();
    }

    /// Records a failed removal and schedules a retry.
    pub(crate) fn failed(&self, key: &InstanceKey, error: &Error) {
        let mut pending = self.pending.lock();
        let removal = pending.entry(key.clone()).or_default();
        removal.underway = false;
        removal.tries = removal.tries.saturating_add(1);
        let wait = delay(
            FIRST_RETRY_INTERVAL,
            MAX_REMOVAL_RETRY_INTERVAL,
            removal.tries - 1,
        );
        removal.next = Instant::now() + wait;
        removal.error = Some(error.to_string().into());
        if removal.tries == 1 {
            tracing::warn!(server = %key.server(), owner = %key.owner(), instance = %key, %error, "cannot remove an instance; it is tried again until it is gone");
        } else {
            tracing::debug!(instance = %key, %error, tries = removal.tries, "cannot remove an instance");
        }
        drop(pending);
        self.changed();
    }

    /// Returns the instances that are due for another attempt.
    pub(crate) fn due(&self) -> Vec<InstanceKey> {
        let now = Instant::now();
        let pending = self.pending.lock();
        let due = pending
            .iter()
            .filter(|(_, removal)| !removal.underway && removal.next <= now);
        due.map(|(key, _)| key.clone()).collect()
    }

    /// Notifies the tasks that wait for a removal.
    pub(crate) fn changed(&self) {
        self.changes.send_replace(());
    }

    fn all(&self) -> Vec<Pending> {
        let pending = self.pending.lock();
        let all = pending.iter().map(|(key, removal)| Pending {
            key: key.clone(),
            since: removal.since,
            error: removal.error.clone(),
        });
        all.collect()
    }
}

impl Pool {
    /// Removes an instance without a slot. A failed removal is retried later.
    pub(crate) fn remove_instance(self: &Arc<Self>, key: &InstanceKey, why: &'static str) {
        if !self.removals.begin(key) {
            return;
        }
        let (pool, key) = (Arc::clone(self), key.clone());
        self.tasks.spawn(async move {
            let Some(_turn) = pool.removals.turn().await else {
                return;
            };
            // A call may have adopted the instance in the meantime.
            if pool.slot_of(&key).is_some_and(|slot| slot.is_taken()) {
                return pool.removals.done(&key);
            }
            tracing::info!(server = %key.server(), owner = %key.owner(), instance = %key, why, "removing an instance");
            let removed = tokio::select! {
                removed = pool.backend.remove(&key, GRACE) => removed,
                () = pool.closing.cancelled() => return,
            };
            match removed {
                Ok(()) => pool.removals.done(&key),
                Err(error) => pool.removals.failed(&key, &error),
            }
        });
    }

    /// Returns all pending removals.
    pub(crate) fn pending_removals(&self) -> Vec<Pending> {
        self.removals.all()
    }

    /// Waits up to `limit` until no instance of a removed or replaced credential is left. Returns the instances that
    /// are left, and whether the backend has reported all existing instances.
    pub(crate) async fn removed(
        &self,
        server: &ServerId,
        owner: &Owner,
        limit: Duration,
    ) -> (Vec<Pending>, bool) {
        let mut changes = self.removals.changes.subscribe();
        let end = Instant::now() + limit;
        loop {
            changes.borrow_and_update();
            let left = self.left_of(server, owner).await;
            let settled = left.is_empty() && self.known.is_synced();
            if settled
                || tokio::time::timeout_at(end, changes.changed())
                    .await
                    .is_err()
            {
                return (left, self.known.is_synced());
            }
        }
    }

    async fn left_of(&self, server: &ServerId, owner: &Owner) -> Vec<Pending> {
        let of = |pending: &Pending| pending.key.server() == server && pending.key.owner() == owner;
        let mut left: Vec<_> = self.removals.all().into_iter().filter(of).collect();
        let mut keys = self.known.of(server, owner);
        keys.extend(self.endings.of(server, owner));
        for key in keys {
            if left.iter().all(|pending| pending.key != key) && self.is_replaced(&key).await {
                left.push(Pending {
                    key,
                    since: SystemTime::now(),
                    error: None,
                });
            }
        }
        left
    }

    /// Records that an owner's credential was replaced or removed.
    pub(crate) fn note_change(&self, change: &CredentialChange) {
        self.known.changed(change);
    }
}
