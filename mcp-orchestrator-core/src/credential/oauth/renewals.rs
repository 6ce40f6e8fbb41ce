//! Renews tokens: once for all who wait here, and once for all processes on one store.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::grant::{Grant, wanting};
use super::job::Job;
use super::{OAuthOptions, Room};
use crate::credential::{
    Generation, InstallationKey, Installations, Precondition, Renewable, Renewal, Renewed,
    Revision, StoredCredential,
};
use crate::error::{Error, ErrorKind, Result};
use crate::server::ServerSpec;

/// How many failures are remembered.
const REMEMBERED: usize = 10_000;
/// Tries to note what a server wants, while others write too.
const TRIES: usize = 5;

/// What is renewed: an installation, and what of it was seen.
pub(super) type Seen = (InstallationKey, Option<(Revision, Generation)>);
type Answer = Result<Renewed, Arc<Error>>;
type Flight = Shared<BoxFuture<'static, Answer>>;

/// Renews the tokens of installed credentials by OAuth.
pub struct Renewals {
    room: Arc<Room>,
    tasks: TaskTracker,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    flights: HashMap<Seen, Flight>,
    failures: HashMap<Seen, Failure>,
}

/// What failed, and until when it is not tried again.
#[derive(Clone)]
struct Failure {
    why: String,
    until: Instant,
}

impl Renewals {
    /// Renews what is installed in this store.
    pub fn new(installations: Installations, options: OAuthOptions) -> Self {
        Self {
            room: Room::new(installations, options),
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
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
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
        };
        let (memory, about) = (Arc::clone(&self.known), seen.clone());
        let panicked = (Arc::clone(&self.known), seen.clone());
        let running = self.tasks.spawn(async move {
            let answer = job.run().await.map_err(Arc::new);
            let mut known = memory.lock().unwrap_or_else(PoisonError::into_inner);
            known.flights.remove(&about);
            known.note(about, &answer);
            answer
        });
        let flight = async move {
            let answer = running.await;
            answer.unwrap_or_else(|_| {
                // The task panicked: the next one who needs the token tries again.
                let mut known = panicked.0.lock().unwrap_or_else(PoisonError::into_inner);
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
    fn note(&mut self, seen: Seen, answer: &Answer) {
        let Ok(Renewed::NotNow { why, after }) = answer else {
            self.failures.remove(&seen);
            return;
        };
        let now = Instant::now();
        if self.failures.len() >= REMEMBERED {
            self.failures.retain(|_, failure| failure.until > now);
        }
        if self.failures.len() < REMEMBERED {
            let (why, until) = (why.clone(), now + *after);
            self.failures.insert(seen, Failure { why, until });
        }
    }

    fn failure(&self, seen: &Seen) -> Option<Renewed> {
        let failure = self.failures.get(seen)?;
        let after = failure.until.checked_duration_since(Instant::now())?;
        (!after.is_zero()).then(|| Renewed::NotNow {
            why: failure.why.clone(),
            after,
        })
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
}

/// The same installation with another grant beside it.
pub(super) fn with_grant(mut stored: StoredCredential, grant: &Grant) -> Result<StoredCredential> {
    let before = stored.renewal.take();
    stored.renewal = Some(Renewable {
        due: before.as_ref().and_then(|before| before.due),
        ended: before.and_then(|before| before.ended),
        grant: grant.kept()?,
    });
    Ok(stored)
}

impl fmt::Debug for Renewals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Renewals").field(&self.room).finish()
    }
}
