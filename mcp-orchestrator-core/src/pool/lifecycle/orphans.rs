//! Orphans: instances without a slot. They ran before a restart, were stopped when their spec changed, or use a
//! credential that was removed or rotated.
//!
//! An orphan that matches no configured server is removed, and one with a revoked credential is removed at once. One
//! that can be adopted keeps running, and is stopped after the idle timeout if no call adopts it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::credential::{CredentialChange, InForce, Owner, Revision};
use crate::id::ServerId;
use crate::pool::Pool;
use crate::pool::slot::Slot;
use crate::runtime::{InstanceEvent, InstanceKey, Phase, Scope};
use crate::server::TokenChange;

/// Interval between checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// Time after which an orphan that cannot be adopted is removed.
const UNADOPTABLE_ORPHAN_TTL: Duration = Duration::from_secs(30);
/// Delay before a failed stop is retried.
const RETRY_INTERVAL: Duration = Duration::from_mins(1);
/// How long an instance with a slot may keep running with a credential that is not in force, when idle and when in use.
/// A credential that is being tested is installed within the second limit; the first limit catches missed removals.
const REVOKED_IDLE: Duration = Duration::from_secs(10);
const REVOKED_BUSY: Duration = Duration::from_mins(2);

/// The instances that the backend reports.
#[derive(Default)]
pub(crate) struct Known {
    found: Mutex<HashMap<InstanceKey, Found>>,
    synced: AtomicBool,
    /// Notified when a credential changes.
    bell: Notify,
}

/// An instance that the backend reports.
struct Found {
    phase: Phase,
    /// Since when no slot holds it.
    since: Instant,
    /// Since when its credential is not in force.
    revoked: Option<Instant>,
    /// `true` if a resolver reported that its credential is not in force.
    told: bool,
    not_before: Instant,
}

/// A snapshot of a [`Found`].
#[derive(Clone, Copy, Debug)]
struct Seen {
    phase: Phase,
    alone: Duration,
    told: bool,
    waits: bool,
}

/// The credentials in force, as far as they were looked up in one round.
type Asked = HashMap<(ServerId, Owner), InForce>;

impl Known {
    fn set(&self, key: InstanceKey, phase: Phase) {
        let mut found = self.found.lock();
        let now = Instant::now();
        let known = found.entry(key).or_insert(Found {
            phase,
            since: now,
            revoked: None,
            told: false,
            not_before: now,
        });
        known.phase = phase;
    }

    fn seen(&self) -> Vec<(InstanceKey, Seen)> {
        let now = Instant::now();
        let found = self.found.lock();
        let seen = |found: &Found| Seen {
            phase: found.phase,
            alone: now.saturating_duration_since(found.since),
            told: found.told,
            waits: found.not_before > now,
        };
        let all = found.iter().map(|(key, found)| (key.clone(), seen(found)));
        all.collect()
    }

    /// Marks an instance as held by a slot or about to end.
    fn touch(&self, key: &InstanceKey) {
        if let Some(found) = self.found.lock().get_mut(key) {
            found.since = Instant::now();
        }
    }

    fn put_off(&self, key: &InstanceKey) {
        if let Some(found) = self.found.lock().get_mut(key) {
            found.not_before = Instant::now() + RETRY_INTERVAL;
        }
    }

    /// Records whether the credential of an instance is revoked. Returns for how long it has been.
    fn revoked(&self, key: &InstanceKey, revoked: bool) -> Duration {
        let mut found = self.found.lock();
        let Some(found) = found.get_mut(key) else {
            return Duration::ZERO;
        };
        if !revoked {
            found.revoked = None;
            return Duration::ZERO;
        }
        found.revoked.get_or_insert_with(Instant::now).elapsed()
    }

    /// Returns `true` once the backend has reported all existing instances.
    pub(crate) fn is_synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }

    /// Returns the instances of an owner that hold a credential.
    pub(crate) fn of(&self, server: &ServerId, owner: &Owner) -> Vec<InstanceKey> {
        let found = self.found.lock();
        let of = found
            .keys()
            .filter(|key| key.server() == server && key.owner() == owner);
        of.filter(|key| *key.revision() != Revision::none())
            .cloned()
            .collect()
    }

    /// Records that an owner's credential was replaced or removed.
    pub(crate) fn changed(&self, change: &CredentialChange) {
        let current = change.now.as_ref().map(|now| &now.revision);
        for (key, found) in &mut *self.found.lock() {
            if *key.server() == change.server && *key.owner() == change.owner {
                found.told = Some(key.revision()) != current;
            }
        }
        self.bell.notify_one();
    }
}

impl Pool {
    /// Handles orphans until the pool closes.
    pub(crate) async fn mind_orphans(self: Arc<Self>) {
        let mut events = self.backend.watch();
        let mut looks = interval(CHECK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.closing.cancelled() => return,
                event = events.next() => match event {
                    None => return,
                    Some(Ok(InstanceEvent::Is(status))) => self.known.set(status.key, status.phase),
                    Some(Ok(InstanceEvent::Gone(key))) => {
                        self.known.found.lock().remove(&key);
                        self.removals.changed();
                    }
                    Some(Ok(InstanceEvent::Synced)) => {
                        self.known.synced.store(true, Ordering::Release);
                        self.removals.changed();
                        looks.reset_immediately();
                    }
                    Some(Err(_)) => {}
                },
                () = self.known.bell.notified() => self.look_for_orphans().await,
                _ = looks.tick() => self.look_for_orphans().await,
            }
        }
    }

    async fn look_for_orphans(self: &Arc<Self>) {
        if !self.known.is_synced() {
            return;
        }
        let mut asked = Asked::new();
        let held = self.handles();
        held.iter().for_each(|handle| self.known.touch(&handle.key));
        for (key, seen) in self.known.seen() {
            if self.endings.contains(&key) {
                self.known.touch(&key);
            } else if self.is_revoked(&key, seen.told, &mut asked).await {
                self.end_revoked(&key);
            } else {
                self.known.revoked(&key, false);
                self.mind(&key, seen);
            }
        }
        for key in self.removals.due() {
            if self.is_unwanted(&key, &mut asked).await {
                self.remove_instance(&key, "a removal is tried again");
            } else {
                self.removals.done(&key);
            }
        }
    }

    /// Returns `true` if the owner has another credential by now, or none.
    async fn is_revoked(&self, key: &InstanceKey, told: bool, asked: &mut Asked) -> bool {
        if *key.revision() == Revision::none() {
            return false;
        }
        match self.in_force(key.server(), key.owner(), asked).await {
            InForce::Revision(revision) => revision != *key.revision(),
            InForce::Nothing => true,
            InForce::Unknown => told,
        }
    }

    /// Like [`is_revoked`](Self::is_revoked), for a single instance.
    pub(crate) async fn is_replaced(&self, key: &InstanceKey) -> bool {
        let told = self
            .known
            .found
            .lock()
            .get(key)
            .is_some_and(|found| found.told);
        self.is_revoked(key, told, &mut Asked::new()).await
    }

    async fn in_force(&self, server: &ServerId, owner: &Owner, asked: &mut Asked) -> InForce {
        let place = (server.clone(), owner.clone());
        if let Some(known) = asked.get(&place) {
            return known.clone();
        }
        let (Some(spec), Some(observer)) = (self.server(server), self.observer()) else {
            return InForce::Unknown;
        };
        let spec = Arc::clone(&spec.spec.load().server);
        let found = observer.in_force(&spec, owner).await;
        asked.insert(place, found.clone());
        found
    }

    /// Returns `true` if a failed removal of the instance must still be carried out.
    async fn is_unwanted(&self, key: &InstanceKey, asked: &mut Asked) -> bool {
        let taken = self.slot_of(key).is_some_and(|slot| slot.is_taken());
        if taken && !self.endings.contains(key) {
            return false;
        }
        let told = self
            .known
            .found
            .lock()
            .get(key)
            .is_some_and(|found| found.told);
        self.idle_limit(key).is_none() || self.is_revoked(key, told, asked).await
    }

    /// Ends an instance with a revoked credential. An instance with a slot may use a credential that is tested before
    /// it is installed, so it gets more time.
    fn end_revoked(self: &Arc<Self>, key: &InstanceKey) {
        let since = self.known.revoked(key, true);
        let slot = self.slot_of(key);
        let held = slot.as_ref().and_then(|slot| slot.current());
        let Some(handle) = held.filter(|handle| handle.key == *key) else {
            if !slot.is_some_and(|slot| slot.is_starting()) {
                self.remove_instance(key, "its credential was removed or replaced");
            }
            return;
        };
        let limit = if handle.in_use() == 0 {
            REVOKED_IDLE
        } else {
            REVOKED_BUSY
        };
        if since >= limit {
            tracing::warn!(server = %key.server(), owner = %key.owner(), instance = %key, "instance runs with a credential that was removed or replaced");
            self.drop_revision(key.server(), &handle.credential);
        }
    }

    /// Handles an instance without a slot if its credential is in force or it has none.
    fn mind(self: &Arc<Self>, key: &InstanceKey, seen: Seen) {
        let Some(idle) = self.idle_limit(key) else {
            if seen.alone >= UNADOPTABLE_ORPHAN_TTL {
                self.remove_instance(key, "no later call can match it");
            }
            return;
        };
        let runs = matches!(seen.phase, Phase::Running | Phase::Starting);
        if runs && !seen.waits && idle.is_some_and(|limit| seen.alone >= limit) {
            self.known.put_off(key);
            let (pool, key) = (Arc::clone(self), key.clone());
            self.tasks
                .spawn(async move { pool.stop_orphan(&key).await });
        }
    }

    /// Returns how long the instance may wait for adoption before it is stopped. Returns `None` if it cannot be
    /// adopted.
    fn idle_limit(&self, key: &InstanceKey) -> Option<Option<Duration>> {
        let server = self.server(key.server())?;
        let spec = server.spec.load();
        let of_session = matches!(key.scope(), Scope::Session(_));
        if !key.spec().is_of(&spec.digest) || (of_session && self.slot_of(key).is_none()) {
            return None;
        }
        Some(spec.server.limits.idle_timeout)
    }

    /// Returns `true` if no slot holds the instance or is about to, and it is not being ended.
    pub(crate) fn is_unattended(&self, key: &InstanceKey) -> bool {
        let taken = self.slot_of(key).is_some_and(|slot| slot.is_taken());
        !taken && !self.endings.contains(key)
    }

    pub(crate) fn slot_of(&self, key: &InstanceKey) -> Option<Arc<Slot>> {
        let slots = self.server(key.server())?.slots.all();
        slots.into_iter().find(|slot| {
            slot.owner == *key.owner()
                && slot.revision == *key.revision()
                && slot.scope == *key.scope()
        })
    }

    async fn stop_orphan(self: &Arc<Self>, key: &InstanceKey) {
        let Some(_turn) = self.removals.turn().await else {
            return;
        };
        let slot = self.slot_of(key);
        let _life = match &slot {
            Some(slot) => Some(slot.life.lock().await),
            None => None,
        };
        if slot.as_ref().is_some_and(|slot| slot.current().is_some()) {
            return;
        }
        tracing::info!(server = %key.server(), instance = %key, "stopping an instance: no call matched it");
        let of_token = self.server(key.server()).is_some_and(|server| {
            // The next call has another token, so this instance would never be reattached.
            let spec = server.spec.load();
            spec.server.oauth.is_some() && spec.server.token_change() == TokenChange::Replaces
        });
        if of_token {
            return self.remove_instance(key, "its token is another one by the next call");
        }
        match self.backend.stop(key, super::removals::GRACE).await {
            Ok(()) => self.known.touch(key),
            Err(error) => {
                tracing::warn!(instance = %key, %error, "cannot stop an instance; it is tried again");
            }
        }
    }
}

#[cfg(test)]
mod tests;
