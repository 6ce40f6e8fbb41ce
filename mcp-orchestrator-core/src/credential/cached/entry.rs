//! One kept answer, and the question that is on its way.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use futures_util::future::{BoxFuture, FutureExt as _, Shared, WeakShared};
use secrecy::SecretString;
use tokio::time::Instant;

use super::table::Key;
use crate::auth::Principal;
use crate::credential::{
    Credential, CredentialRequest, CredentialResolver, CredentialRule, Generation, Revision,
};
use crate::error::Error;
use crate::server::ServerSpec;

/// What all waiters of one question get.
type Answer = Result<Option<Arc<Credential>>, Arc<Error>>;
type Flight = Shared<BoxFuture<'static, Answer>>;

/// The longest time that anything is kept, whatever is allowed.
const LONGEST: Duration = Duration::from_hours(24);

/// For how long an answer is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lifetime {
    pub(super) max_age: Duration,
    pub(super) ahead: Duration,
}

/// What is known for one key.
pub(super) struct Entry {
    pub(super) key: Key,
    kept: ArcSwapOption<Kept>,
    asked: Mutex<Asked>,
}

struct Kept {
    credential: Arc<Credential>,
    until: Instant,
}

/// The last question. It lives as long as somebody waits for it.
#[derive(Default)]
struct Asked {
    number: u64,
    rejected: Option<(Revision, Generation)>,
    flight: Option<WeakShared<BoxFuture<'static, Answer>>>,
}

/// A request that belongs to itself, so that it outlives the waiter who asked first.
pub(super) struct Question {
    principal: Principal,
    server: ServerSpec,
    rule: CredentialRule,
    rejected: Option<(Revision, Generation)>,
    token: Option<SecretString>,
}

impl Question {
    pub(super) fn new(request: CredentialRequest<'_>) -> Self {
        Self {
            principal: request.principal.clone(),
            server: request.server.clone(),
            rule: request.rule.clone(),
            rejected: request
                .rejected
                .map(|(revision, generation)| (revision.clone(), generation)),
            token: request.token.cloned(),
        }
    }

    fn request(&self) -> CredentialRequest<'_> {
        CredentialRequest {
            principal: &self.principal,
            server: &self.server,
            rule: &self.rule,
            rejected: self
                .rejected
                .as_ref()
                .map(|(revision, generation)| (revision, *generation)),
            token: self.token.as_ref(),
        }
    }
}

impl Entry {
    pub(super) fn new(key: Key) -> Self {
        Self {
            key,
            kept: ArcSwapOption::empty(),
            asked: Mutex::default(),
        }
    }

    /// The kept credential, where it holds and is not what was rejected.
    pub(super) fn kept(
        &self,
        rejected: Option<(&Revision, Generation)>,
    ) -> Option<Arc<Credential>> {
        let kept = self.kept.load();
        let kept = kept.as_ref().filter(|kept| Instant::now() < kept.until)?;
        let credential = &kept.credential;
        let refused = rejected.is_some_and(|(revision, generation)| {
            credential.revision == *revision && credential.generation <= generation
        });
        (!refused).then(|| Arc::clone(credential))
    }

    /// Until when it has to stay: what is asked right now outlasts what is kept; `None` where nothing is of use.
    pub(super) fn of_use(&self, now: Instant) -> Option<Instant> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.running().is_some() {
            return Some(now + LONGEST);
        }
        let kept = self.kept.load();
        kept.as_ref()
            .map(|kept| kept.until)
            .filter(|until| now < *until)
    }

    /// Joins the question on its way, where it asks for at least this much, else asks.
    pub(super) fn ask(
        self: &Arc<Self>,
        resolver: &Arc<dyn CredentialResolver>,
        question: Question,
        lifetime: Lifetime,
    ) -> Flight {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = asked.running()
            && covers(asked.rejected.as_ref(), question.rejected.as_ref())
        {
            return flight;
        }
        if question.rejected.is_some() {
            // From here on others wait for the new one, and do not run into the same refusal.
            self.kept.store(None);
        }
        asked.number += 1;
        asked.rejected.clone_from(&question.rejected);
        let number = asked.number;
        let (entry, resolver) = (Arc::clone(self), Arc::clone(resolver));
        let flight = async move {
            let answer = resolver.resolve(question.request()).await;
            if let Ok(Some(credential)) = &answer {
                entry.keep(number, credential, lifetime);
            }
            answer.map_err(Arc::new)
        };
        let flight = flight.boxed().shared();
        asked.flight = flight.downgrade();
        flight
    }

    /// Keeps an answer, unless somebody has asked for a newer one since.
    fn keep(&self, number: u64, credential: &Arc<Credential>, lifetime: Lifetime) {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.number != number {
            return;
        }
        let left = credential
            .expires_at
            .map(|end| end.duration_since(SystemTime::now()).unwrap_or_default());
        let age = left.map_or(lifetime.max_age, |left| {
            let usable = left.saturating_sub(lifetime.ahead.min(left / 4));
            usable.min(lifetime.max_age)
        });
        self.kept.store(Some(Arc::new(Kept {
            credential: Arc::clone(credential),
            until: Instant::now() + age.min(LONGEST),
        })));
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Entry").field(&self.key).finish()
    }
}

impl Asked {
    fn running(&self) -> Option<Flight> {
        let flight = self.flight.as_ref()?.upgrade()?;
        // One that has ended may still be held by a waiter that has not looked yet.
        flight.peek().is_none().then_some(flight)
    }
}

/// Whether a question with this rejection answers one with that.
fn covers(asked: Option<&(Revision, Generation)>, wanted: Option<&(Revision, Generation)>) -> bool {
    match (asked, wanted) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(asked), Some(wanted)) => asked.0 == wanted.0 && asked.1 >= wanted.1,
    }
}
