//! Tokens that end while an instance holds them: renewed in time where it is used, else it goes to rest with them.
//!
//! A token in a header or a file is handed to what runs. One in the environment is not: the instance with the next one is
//! made beside it, calls move there, and it finishes its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::handle::{Handle, Lease};
use super::slot::Slot;
use super::{Ending, Pool, Server};
use crate::credential::Credential;
use crate::error::Result;
use crate::runtime::Progress;
use crate::server::TokenChange;

/// How long before its end a token is to be another one, at least.
const AHEAD: Duration = Duration::from_mins(5);
/// Before it is asked for again.
const AGAIN: Duration = Duration::from_secs(30);

/// The token of an instance: when it ends, and when another one is wanted.
#[derive(Debug)]
pub(super) struct Token(Mutex<Times>);

#[derive(Clone, Copy, Debug)]
struct Times {
    /// How long its instance took to start.
    start: Duration,
    end: Option<Instant>,
    /// From then on another one is wanted.
    due: Option<Instant>,
    /// How many calls there were when it came.
    served: u64,
}

impl Times {
    fn new(credential: &Credential, start: Duration, served: u64) -> Self {
        let now = Instant::now();
        let left = credential.expires_at.map(|end| {
            let left = end.duration_since(SystemTime::now());
            left.unwrap_or_default()
        });
        // One that lives shortly is used for half of its life.
        let ahead = |left: Duration| AHEAD.max(start * 2).min(left / 2);
        Self {
            start,
            end: left.map(|left| now + left),
            due: left.map(|left| now + (left - ahead(left))),
            served,
        }
    }
}

impl Token {
    /// That of an instance which took so long to start.
    pub(super) fn new(credential: &Credential, start: Duration) -> Self {
        Self(Mutex::new(Times::new(credential, start, 0)))
    }

    /// The instance has this one now; so many calls came before.
    pub(super) fn is_now(&self, credential: &Credential, served: u64) {
        let mut times = self.lock();
        *times = Times::new(credential, times.start, served);
    }

    fn lock(&self) -> MutexGuard<'_, Times> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ends(&self) -> bool {
        self.lock().end.is_some()
    }

    fn is_over(&self) -> bool {
        self.lock().end.is_some_and(|end| end <= Instant::now())
    }

    /// Until another one is wanted; `None`: it does not end.
    pub(super) fn due_in(&self) -> Option<Duration> {
        let due = self.lock().due?;
        Some(due.saturating_duration_since(Instant::now()))
    }

    fn asked(&self) {
        self.lock().due = Some(Instant::now() + AGAIN);
    }

    fn was_used(&self, served: u64) -> bool {
        served > self.lock().served
    }
}

/// What is to be done about the token of an instance now.
pub(super) enum Due {
    Nothing,
    /// Nobody has called since it came: the instance goes to rest, and the next one gets another.
    Rest,
}

impl Pool {
    /// Sees to the token of an instance that runs: asks for the next one in time, where anybody has called.
    pub(super) fn see_to_token(&self, handle: &Arc<Handle>) -> Due {
        let server = &handle.spec.server;
        let waits = handle.token.due_in().is_none_or(|left| !left.is_zero());
        if waits || server.token_change() == TokenChange::Reaches {
            return Due::Nothing;
        }
        let observer = self.observer();
        let held = observer.as_ref().is_some_and(|it| it.holds(handle));
        if !held && !handle.token.was_used(handle.served()) && handle.close_if_idle() {
            tracing::info!(server = %server.id, instance = %handle.key, "instance goes to rest: its token ends, and nobody has called since it came");
            return Due::Rest;
        }
        handle.token.asked();
        if let Some(observer) = observer {
            observer.token_ends(handle);
        }
        Due::Nothing
    }

    /// An instance that has this generation of its credential, or a newer one: this one, once it was handed over; or
    /// another, where it cannot be. While the token of this one lives, nobody waits for the other.
    pub(crate) async fn renewed(
        self: &Arc<Self>,
        lease: Lease,
        credential: &Arc<Credential>,
        progress: &Progress,
    ) -> Result<Lease> {
        if lease.spec.server.token_change() != TokenChange::Replaces {
            self.refreshed(&lease, credential).await?;
            return Ok(lease);
        }
        let Some(server) = self.server(lease.key.server()) else {
            return Ok(lease);
        };
        let scope = lease.key.scope().clone();
        if !lease.token.is_over() {
            let slot = server.slots.get(credential, &scope);
            self.succeed_in(&server, slot, credential);
            return Ok(lease);
        }
        drop(lease);
        loop {
            let slot = server.slots.get(credential, &scope);
            if let Some(lease) = slot.lease().filter(|lease| !lease.is_behind(credential)) {
                return Ok(lease);
            }
            self.started(&server, &slot, credential, progress).await?;
        }
    }

    /// Starts the instance with the newer token in this slot, beside the one that runs there.
    pub(super) fn succeed_in(
        self: &Arc<Self>,
        server: &Arc<Server>,
        slot: Arc<Slot>,
        credential: &Arc<Credential>,
    ) {
        if slot.is_starting() || !slot.current().is_some_and(|old| old.is_behind(credential)) {
            return;
        }
        let (pool, server) = (Arc::clone(self), Arc::clone(server));
        let credential = Arc::clone(credential);
        self.tasks.spawn(async move {
            let Ok(_turn) = pool.replacing.acquire().await else {
                return;
            };
            // Another may have done it meanwhile; what has gone to rest stays at rest.
            let old = slot.current();
            let Some(old) = old.filter(|old| old.is_behind(&credential)) else {
                return;
            };
            if !old.token.was_used(old.served()) && old.close_if_idle() {
                pool.rest(&server, &slot, &old).await;
                return;
            }
            let progress = Progress::unheard();
            let started = pool.started(&server, &slot, &credential, &progress);
            if let Err(error) = started.await {
                tracing::warn!(instance = ?slot, %error, "an instance with the newer token did not start; the one before goes on while its token lives");
            }
        });
    }

    /// How an instance at rest is kept: one with a token in its environment is never started again as it is.
    pub(super) fn at_rest(handle: &Handle) -> Ending {
        let server = &handle.spec.server;
        if server.token_change() == TokenChange::Replaces && handle.token.ends() {
            Ending::Remove
        } else {
            Ending::Rest
        }
    }
}
