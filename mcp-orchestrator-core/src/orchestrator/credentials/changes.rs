//! Reacts to credentials that were rotated or removed.

use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::auth::Principal;
use crate::catalog::{Changed, ListKey, fetch};
use crate::credential::{
    Credential, CredentialChange, CredentialRequest, CredentialRule, Generation, Owner,
};
use crate::error::Result;
use crate::id::ServerId;
use crate::metrics::Renewal;
use crate::orchestrator::forward::timed_out;
use crate::orchestrator::state::{Inner, Orchestrator};
use crate::pool::{Handle, Pending};
use crate::router::ItemKind;
use crate::runtime::{Progress, Scope};
use crate::server::{Isolation, Launch};

/// Authentication method of the principal for which a token is renewed.
const RENEWING: &str = "renewal";

/// Handles each change until the pool closes.
pub(crate) async fn hear(inner: Weak<Inner>, mut changes: BoxStream<'static, CredentialChange>) {
    let Some(closing) = inner.upgrade().map(|inner| inner.pool.closing().clone()) else {
        return;
    };
    loop {
        let change = tokio::select! {
            change = changes.next() => change,
            () = closing.cancelled() => return,
        };
        let (Some(change), Some(inner)) = (change, inner.upgrade()) else {
            return;
        };
        inner.credential_changed(&change);
    }
}

impl Orchestrator {
    /// Tries a credential before it is installed: starts an instance with it, as for this principal, and lists its
    /// tools. Returns the number of tools. The instance keeps running for the first call. If the credential is not
    /// installed after all, [`forget_credential`](Self::forget_credential) ends it.
    ///
    /// # Errors
    /// [`NoRoute`](crate::ErrorKind::NoRoute) for an unknown server; otherwise the reason why the instance did not
    /// start or answer. The instance is removed in that case.
    pub async fn try_credential(
        &self,
        principal: &Principal,
        server: &ServerId,
        credential: &Arc<Credential>,
    ) -> Result<usize> {
        let tried = self
            .inner
            .try_credential(principal, server, credential)
            .await;
        if tried.is_err() {
            self.forget_credential(server, credential);
        }
        tried
    }

    /// Tests an installed credential: lists the server's tools with it, as for this principal, and returns their
    /// number. Uses an instance that is running, and never ends it.
    ///
    /// # Errors
    /// [`NoRoute`](crate::ErrorKind::NoRoute) for an unknown server; otherwise the reason why the instance did not
    /// start or answer.
    pub async fn test_credential(
        &self,
        principal: &Principal,
        server: &ServerId,
        credential: &Arc<Credential>,
    ) -> Result<usize> {
        self.inner
            .try_credential(principal, server, credential)
            .await
    }

    /// Ends the instances that use exactly this revision of a credential.
    pub fn forget_credential(&self, server: &ServerId, credential: &Credential) {
        self.inner.pool.drop_revision(server, credential);
    }
}

/// An instance with a removed or replaced credential that still exists.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PendingRemoval {
    /// The server.
    pub server: String,
    /// Owner of its credential.
    pub owner: String,
    /// Public name of the instance.
    pub instance: String,
    /// Seconds since its removal was requested.
    pub seconds: u64,
    /// Why the last attempt failed. It is retried.
    pub reason: Option<String>,
}

impl From<Pending> for PendingRemoval {
    fn from(pending: Pending) -> Self {
        let since = SystemTime::now().duration_since(pending.since);
        Self {
            server: pending.key.server().to_string(),
            owner: pending.key.owner().to_string(),
            instance: pending.key.name().to_owned(),
            seconds: since.unwrap_or_default().as_secs(),
            reason: pending.error.map(|error| error.to_string()),
        }
    }
}

/// What remains of a removed or replaced credential.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Leftover {
    /// Nothing.
    #[default]
    Nothing,
    /// These instances. They are removed as soon as possible.
    Instances(Vec<String>),
    /// Unknown, for example while the cluster does not respond. Remaining instances are removed once they are seen.
    Unknown,
}

impl Orchestrator {
    /// Waits until no instance uses a removed or replaced credential of this owner, for at most `limit`.
    pub async fn removed(&self, server: &ServerId, owner: &Owner, limit: Duration) -> Leftover {
        let (left, seen) = self.inner.pool.removed(server, owner, limit).await;
        if left.is_empty() {
            return if seen {
                Leftover::Nothing
            } else {
                Leftover::Unknown
            };
        }
        let told = left.into_iter().map(|pending| match pending.error {
            Some(error) => format!("{}: {error}", pending.key),
            None => pending.key.to_string(),
        });
        Leftover::Instances(told.collect())
    }

    /// Returns the removals of instances that failed and are retried.
    pub fn pending_removals(&self) -> Vec<PendingRemoval> {
        let pending = self.inner.pool.pending_removals();
        pending.into_iter().map(PendingRemoval::from).collect()
    }
}

impl Inner {
    async fn try_credential(
        self: &Arc<Self>,
        principal: &Principal,
        server: &ServerId,
        credential: &Arc<Credential>,
    ) -> Result<usize> {
        let spec = self.spec(server)?;
        let scope = match (&spec.server.launch, spec.server.isolation) {
            (Launch::Remote(_), _) | (_, Isolation::Shared) => Scope::Shared,
            _ => Scope::Principal(principal.id.clone()),
        };
        let progress = Progress::unheard();
        let lease = self
            .pool
            .acquire(server, credential, scope, &progress)
            .await;
        let lease = lease.map_err(|error| error.with_server(server))?;
        let lease = self.pool.renewed(lease, credential, &progress).await?;
        let key = ListKey::from(&lease.key);
        let before = self.catalog.get(&key).await;
        let asked = fetch(&lease, before.as_deref(), |_| ());
        let asked = tokio::time::timeout(spec.server.limits.call_timeout, asked).await;
        let fetched = asked.map_err(|_| timed_out(server, spec.server.limits.call_timeout))??;
        if let Some(error) = fetched.failure {
            return Err(error);
        }
        let tools = fetched.kept.items(ItemKind::Tool).len();
        self.catalog.keep(&key, fetched.kept, before).await;
        Ok(tools)
    }

    /// Resolves the successor of the token that an instance uses.
    pub(crate) async fn next_token(&self, handle: &Handle) {
        let (server, owner) = (&handle.spec.server, handle.key.owner());
        let principal = match owner {
            Owner::User(user) => Principal::user(user.clone(), RENEWING),
            Owner::Team(team) => Principal::team(team, RENEWING),
            Owner::Organization => Principal::organization(RENEWING),
        };
        let request = CredentialRequest {
            principal: &principal,
            server,
            rule: &CredentialRule::Pinned(owner.clone()),
            // Treats the current one as rejected, because it expires soon.
            rejected: Some((handle.key.revision(), handle.generation())),
            token: None,
        };
        match self.resolver.resolve(request).await {
            // Needed if the resolver does not report changes.
            Ok(Some(now)) => {
                self.metrics.renewed(&server.id, Renewal::Renewed);
                self.pool.credential_changed(&CredentialChange {
                    server: server.id.clone(),
                    owner: owner.clone(),
                    now: Some(now),
                });
            }
            Ok(None) => {}
            Err(error) => {
                self.metrics.renewed(&server.id, Renewal::Failed);
                tracing::debug!(server = %server.id, %owner, %error, "a token that ends has no successor yet");
            }
        }
    }

    fn credential_changed(self: &Arc<Self>, change: &CredentialChange) {
        let (server, owner) = (&change.server, &change.owner);
        match &change.now {
            Some(now) => self.catalog.supersede(server, owner, &now.revision),
            None => {
                self.catalog.forget(server, owner);
                self.tasks.lose(server, owner);
                let (inner, server, owner) = (Arc::clone(self), server.clone(), owner.clone());
                let forget = async move { inner.catalog.forget_stored(&server, &owner).await };
                self.pool.tasks().spawn(forget);
            }
        }
        self.pool.credential_changed(change);
        self.rights.advance();
        // Wakes the calls that wait for the credential.
        self.credentials_changed
            .send_modify(|changes| *changes += 1);
        // A renewed token does not change what its owner may see.
        let renewed = |now: &Arc<Credential>| now.generation > Generation::default();
        if !change.now.as_ref().is_some_and(renewed) {
            self.lists_changed(&change.server, &change.owner, Changed::ALL);
        }
    }
}
