//! Renews tokens: once for all who wait here, and once for all processes on one store.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::errors::RETRY_INTERVAL;
use super::grant::{Grant, wanting, with_grant};
use super::job::Job;
use super::{OAuthOptions, OAuthState};
use crate::backoff::delay;
use crate::credential::{
    Generation, InstallationKey, Installations, Precondition, Protection, Renewal, Renewed,
    Revision,
};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::{MAX_FAILED_RENEWALS, MAX_RENEWAL_BACKOFF};
use crate::server::ServerSpec;

/// Tries to note what a server wants, while others write too.
const TRIES: usize = 5;

/// What is renewed: an installation, and what of it was seen.
pub(super) type Seen = (InstallationKey, Option<(Revision, Generation)>);
type Answer = Result<Renewed, Arc<Error>>;
type Flight = Shared<BoxFuture<'static, Answer>>;

/// Renews the tokens of installed credentials by OAuth.
pub struct Renewals {
    room: Arc<OAuthState>,
    tasks: TaskTracker,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    flights: HashMap<Seen, Flight>,
    failures: HashMap<Seen, Failure>,
}

/// What failed, and until when it is not tried again.
struct Failure {
    answer: Renewed,
    until: Instant,
    /// How often in a row.
    times: u32,
    is_foreign: bool,
}

impl Renewals {
    /// Renews what is installed in this store.
    pub fn new(installations: Installations, options: OAuthOptions) -> Self {
        Self {
            room: OAuthState::new(installations, options),
            tasks: TaskTracker::new(),
            known: Arc::default(),
        }
    }

    /// Waits until all renewals that began are through, for so long at most: one that is cut off between the issuer's
    /// answer and its writing down costs a sign-in.
    pub async fn finish(&self, grace: Duration) {
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("a token was being renewed when the time to end was over");
        }
        self.room.unstored.closing().cancel();
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock()
    }

    /// The renewal that is on its way, else a new one.
    fn flight(&self, server: &ServerSpec, seen: &Seen) -> Flight {
        let mut known = self.known();
        if let Some(flight) = known.flights.get(seen) {
            return flight.clone();
        }
        let job = Job {
            room: Arc::clone(&self.room),
            server: server.clone(),
            key: seen.0.clone(),
            seen: seen.1.clone(),
            was_foreign: known.was_foreign(seen),
            is_foreign: AtomicBool::new(false),
            tasks: self.tasks.clone(),
        };
        let (memory, about) = (Arc::clone(&self.known), seen.clone());
        let panicked = (Arc::clone(&self.known), seen.clone());
        let running = self.tasks.spawn(async move {
            let answer = job.run().await.map_err(Arc::new);
            let mut known = memory.lock();
            known.flights.remove(&about);
            let is_foreign = job.is_foreign.load(Ordering::Relaxed);
            answer.map(|answer| known.noted(about, answer, is_foreign))
        });
        let flight = async move {
            let answer = running.await;
            answer.unwrap_or_else(|_| {
                // The task panicked: the next one who needs the token tries again.
                let mut known = panicked.0.lock();
                known.flights.remove(&panicked.1);
                let text = "renewing a token was broken off";
                Err(Arc::new(Error::new(ErrorKind::Internal, text)))
            })
        };
        let flight = flight.boxed().shared();
        known.flights.insert(seen.clone(), flight.clone());
        flight
    }
}

impl Known {
    /// Notes what came of a try. Where it failed, the next one waits longer than this one did.
    fn noted(&mut self, seen: Seen, answer: Renewed, is_foreign: bool) -> Renewed {
        let before = self.failures.remove(&seen);
        let times = before.map_or(1, |before| before.times.saturating_add(1));
        let backoff = delay(RETRY_INTERVAL, MAX_RENEWAL_BACKOFF, times - 1);
        let (answer, after) = match answer {
            Renewed::NotNow { why, after } => {
                let after = after.max(backoff);
                (Renewed::NotNow { why, after }, after)
            }
            Renewed::Stuck { why, after } => {
                let after = after.max(backoff);
                (Renewed::Stuck { why, after }, after)
            }
            answer => return answer,
        };
        let now = Instant::now();
        if self.failures.len() >= MAX_FAILED_RENEWALS {
            self.failures.retain(|_, failure| failure.until > now);
        }
        if self.failures.len() < MAX_FAILED_RENEWALS {
            let failure = Failure {
                answer: answer.clone(),
                until: now + after,
                times,
                is_foreign,
            };
            self.failures.insert(seen, failure);
        }
        answer
    }

    fn was_foreign(&self, seen: &Seen) -> bool {
        self.failures
            .get(seen)
            .is_some_and(|failure| failure.is_foreign)
    }

    fn failure(&self, seen: &Seen) -> Option<Renewed> {
        let failure = self.failures.get(seen)?;
        let left = failure.until.checked_duration_since(Instant::now())?;
        if left.is_zero() {
            return None;
        }
        let mut answer = failure.answer.clone();
        if let Renewed::NotNow { after, .. } | Renewed::Stuck { after, .. } = &mut answer {
            *after = left;
        }
        Some(answer)
    }
}

impl Drop for Renewals {
    fn drop(&mut self) {
        self.room.unstored.closing().cancel();
    }
}

#[async_trait]
impl Renewal for Renewals {
    async fn renew(
        &self,
        server: &ServerSpec,
        key: &InstallationKey,
        seen: Option<(&Revision, Generation)>,
    ) -> Result<Renewed> {
        let seen = seen.map(|(revision, generation)| (revision.clone(), generation));
        let seen = (key.clone(), seen);
        let failure = self.known().failure(&seen);
        if let Some(failure) = failure {
            return Ok(failure);
        }
        let flight = self.flight(server, &seen);
        let answer = flight.await;
        answer.map_err(|error| error.duplicate().with_server(&server.id))
    }

    async fn wanted(&self, key: &InstallationKey, scopes: &[String]) -> Result<bool> {
        let installations = &self.room.installations;
        for _ in 0..TRIES {
            let Some((stored, version)) = installations.get(key).await? else {
                return Ok(true);
            };
            let Some(grant) = Grant::of(&stored)? else {
                return Ok(true);
            };
            if scopes.iter().all(|scope| grant.wanted.contains(scope)) {
                return Ok(!scopes.is_empty());
            }
            let Ok(grant) = wanting(&grant, scopes) else {
                return Ok(false);
            };
            let next = with_grant(stored, &grant)?;
            let put = installations
                .put(key, &next, Precondition::Unchanged(version))
                .await;
            match put {
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                put => return put.map(|_| true),
            }
        }
        Ok(true)
    }

    async fn protection(&self, server: &ServerSpec) -> Protection {
        let Some(oauth) = &server.oauth else {
            return Protection::Unknown;
        };
        match self.room.discovered(server, oauth).await {
            Ok(found) if found.is_said => Protection::SignIn,
            Ok(_) => Protection::Unknown,
            Err(error) => Protection::Obstacle(error.to_string()),
        }
    }
}

impl fmt::Debug for Renewals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Renewals").field(&self.room).finish()
    }
}
