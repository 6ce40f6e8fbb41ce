//! A cache entry: the cached credential and the resolution in flight.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use futures_util::future::{BoxFuture, FutureExt as _, Shared, WeakShared};
use parking_lot::Mutex;
use secrecy::SecretString;
use tokio::time::Instant;

use super::key::Key;
use crate::auth::Principal;
use crate::credential::{
    Credential, CredentialRequest, CredentialResolver, CredentialRule, Generation, Revision,
};
use crate::error::Error;
use crate::server::ServerSpec;

/// The result that all waiters of one resolution share.
type Answer = Result<Option<Arc<Credential>>, Arc<Error>>;
type Flight = Shared<BoxFuture<'static, Answer>>;

/// Upper limit on how long anything is cached, whatever the options allow.
const MAX_CACHE_TTL: Duration = Duration::from_hours(24);

/// How long a credential is cached.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lifetime {
    pub(super) max_age: Duration,
    pub(super) ahead: Duration,
}

/// The cached state of one key.
pub(super) struct Entry {
    pub(super) key: Key,
    kept: ArcSwapOption<Kept>,
    asked: Mutex<LastResolution>,
}

struct Kept {
    credential: Arc<Credential>,
    until: Instant,
}

/// The last resolution. It runs as long as at least one caller waits for it.
#[derive(Default)]
struct LastResolution {
    number: u64,
    rejected: Option<(Revision, Generation)>,
    flight: Option<WeakShared<BoxFuture<'static, Answer>>>,
}

/// An owned request, so that the resolution outlives the caller that started it.
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

    /// Returns the cached credential unless it has expired or was rejected.
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

    /// Returns until when the entry must be kept, or `None` if it can be dropped. A resolution in flight outlasts any
    /// cached value.
    pub(super) fn of_use(&self, now: Instant) -> Option<Instant> {
        let asked = self.asked.lock();
        if asked.running().is_some() {
            return Some(now + MAX_CACHE_TTL);
        }
        let kept = self.kept.load();
        kept.as_ref()
            .map(|kept| kept.until)
            .filter(|until| now < *until)
    }

    /// Joins the resolution in flight if it covers this question's rejection, or starts a new one.
    pub(super) fn ask(
        self: &Arc<Self>,
        resolver: &Arc<dyn CredentialResolver>,
        question: Question,
        lifetime: Lifetime,
    ) -> Flight {
        let mut asked = self.asked.lock();
        if let Some(flight) = asked.running()
            && covers(asked.rejected.as_ref(), question.rejected.as_ref())
        {
            return flight;
        }
        if question.rejected.is_some() {
            // From here on other callers wait for the new credential instead of running into the same rejection.
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

    /// Caches a credential unless a newer resolution has started since.
    fn keep(&self, number: u64, credential: &Arc<Credential>, lifetime: Lifetime) {
        let asked = self.asked.lock();
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
            until: Instant::now() + age.min(MAX_CACHE_TTL),
        })));
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Entry").field(&self.key).finish()
    }
}

impl LastResolution {
    fn running(&self) -> Option<Flight> {
        let flight = self.flight.as_ref()?.upgrade()?;
        // A finished resolution may still be held by a waiter that has not been polled yet.
        flight.peek().is_none().then_some(flight)
    }
}

/// Returns `true` if a resolution that excludes `asked` also answers a question that excludes `wanted`.
fn covers(asked: Option<&(Revision, Generation)>, wanted: Option<&(Revision, Generation)>) -> bool {
    match (asked, wanted) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(asked), Some(wanted)) => asked.0 == wanted.0 && asked.1 >= wanted.1,
    }
}
