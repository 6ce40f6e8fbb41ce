//! A cache around any resolver. A hit costs a hash, a read lock and a comparison; a miss resolves once for all
//! waiters.

mod entry;
mod key;
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

/// Size and lifetime limits of a [`CachedResolver`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheLimits {
    /// Maximum time for which a credential is reused, and so the maximum delay before a changed file or variable
    /// takes effect. Capped at one day. Default: 30 s.
    pub max_age: Duration,
    /// How long before a credential expires it is resolved again; at most a quarter of its remaining lifetime.
    /// Default: 1 min.
    pub ahead: Duration,
    /// Maximum number of cached credentials. Default: 16384.
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

/// Caches a resolver's credentials by principal, server, slots and rule.
///
/// Only credentials are cached: `None` and errors go to all current waiters, and the next request resolves again. A
/// request that reports a rejected credential bypasses a cached one that is not newer. Dropping a waiter cancels the
/// resolution only if it was the last waiter.
#[derive(Debug)]
pub struct CachedResolver {
    inner: Arc<dyn CredentialResolver>,
    lifetime: Lifetime,
    table: Arc<Table>,
}

impl CachedResolver {
    /// Creates a cache around `inner`.
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

    /// Returns the cached credential if it is still valid. Never waits and does not allocate.
    pub fn kept(&self, request: &CredentialRequest<'_>) -> Option<Arc<Credential>> {
        self.table.find(request)?.kept(request.rejected)
    }

    /// Drops all cached credentials of a server, for example after one was installed or removed. Current waiters
    /// still get the result of the resolution in flight.
    pub fn forget(&self, server: &ServerId) {
        self.table.forget(|key| key.server() == server);
    }

    /// Drops all cached credentials.
    pub fn clear(&self) {
        self.table.forget(|_| true);
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl CredentialResolver for CachedResolver {
    async fn resolve(&self, request: CredentialRequest<'_>) -> Result<Option<Arc<Credential>>> {
        // `None` is not cached, and asking for it costs a copy of the request.
        if !self.inner.covers(&request) {
            return Ok(None);
        }
        let entry = self.table.entry(&request);
        if let Some(credential) = entry.kept(request.rejected) {
            return Ok(Some(credential));
        }
        let question = Question::new(request);
        let flight = entry.ask(&self.inner, question, self.lifetime);
        flight.await.map_err(|error| error.duplicate())
    }

    fn covers(&self, request: &CredentialRequest<'_>) -> bool {
        self.inner.covers(request)
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
