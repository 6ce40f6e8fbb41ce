//! A cache around any resolver: a hit costs a hash, a read lock and a comparison; a miss asks once for all waiters.

mod entry;
mod table;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{BoxStream, StreamExt as _};

use self::entry::{Lifetime, Question};
use self::table::Table;
use super::{Credential, CredentialChange, CredentialRequest, CredentialResolver, InForce, Owner};
use crate::error::Result;
use crate::id::ServerId;
use crate::server::ServerSpec;

/// How much is kept, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// The longest time for which an answer is taken again: so late may a changed file or variable be seen. At most a
    /// day.
    pub max_age: Duration,
    /// How long before a credential's end it is asked for anew; at most a quarter of what it has left.
    pub ahead: Duration,
    /// How many answers are kept.
    pub entries: usize,
}

impl Default for CacheLimits {
    fn default() -> Self {
        Self {
            max_age: Duration::from_secs(30),
            ahead: Duration::from_mins(1),
            entries: 16 * 1024,
        }
    }
}

/// Keeps a resolver's credentials by principal, server, slots and rule.
///
/// Only credentials are kept: `None` and errors are passed to all who wait at that moment, and the next request asks
/// again. One that says what was rejected passes over a kept answer that is not newer. A waiter that leaves ends the
/// question only where it was the last.
#[derive(Debug)]
pub struct CachedResolver {
    inner: Arc<dyn CredentialResolver>,
    lifetime: Lifetime,
    table: Arc<Table>,
}

impl CachedResolver {
    /// A cache around this resolver.
    pub fn new(inner: Arc<dyn CredentialResolver>, limits: CacheLimits) -> Self {
        Self {
            inner,
            lifetime: Lifetime {
                max_age: limits.max_age,
                ahead: limits.ahead,
            },
            table: Arc::new(Table::new(limits.entries)),
        }
    }

    /// The kept answer, where it still holds. It never waits and allocates nothing.
    pub fn kept(&self, request: &CredentialRequest<'_>) -> Option<Arc<Credential>> {
        self.table.find(request)?.kept(request.rejected)
    }

    /// Drops what is kept for a server, as when a credential of it was put or taken away. Who waits already gets the
    /// answer that is on its way.
    pub fn forget(&self, server: &ServerId) {
        self.table.forget(|key| key.server() == server);
    }

    /// Drops all that is kept.
    pub fn clear(&self) {
        self.table.forget(|_| true);
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl CredentialResolver for CachedResolver {
    async fn resolve(&self, request: CredentialRequest<'_>) -> Result<Option<Arc<Credential>>> {
        let entry = self.table.entry(&request);
        if let Some(credential) = entry.kept(request.rejected) {
            return Ok(Some(credential));
        }
        let question = Question::new(request);
        let flight = entry.ask(&self.inner, question, self.lifetime);
        flight.await.map_err(|error| error.duplicate())
    }

    fn changes(&self) -> BoxStream<'static, CredentialChange> {
        let table = Arc::clone(&self.table);
        let changes = self.inner.changes();
        let forget = move |change: &CredentialChange| {
            table.forget(|key| *key.server() == change.server);
        };
        changes.inspect(forget).boxed()
    }

    async fn in_force(&self, server: &ServerSpec, owner: &Owner) -> InForce {
        self.inner.in_force(server, owner).await
    }

    async fn wanted(
        &self,
        server: &ServerSpec,
        credential: &Credential,
        scopes: &[String],
    ) -> Result<Option<bool>> {
        self.inner.wanted(server, credential, scopes).await
    }

    fn explain(&self, request: CredentialRequest<'_>) -> Vec<String> {
        self.inner.explain(request)
    }
}

#[cfg(test)]
mod tests;
