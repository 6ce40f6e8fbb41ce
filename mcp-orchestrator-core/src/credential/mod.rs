//! Credentials of instances: the types, and the seams of resolvers and stores.
//!
//! For a server that the orchestrator runs, the credential is bound to the instance. Owner and revision are therefore
//! part of the instance's key: an instance with one user's credential is never used for another user, and a rotated
//! secret gets a new instance while the old one finishes its calls.

mod cached;
mod chain;
mod changes;
mod configured;
mod installation_key;
mod installation_record;
mod installations;
mod installed;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod links;
#[cfg(feature = "local-store")]
mod local;
mod memory;
#[cfg(feature = "oauth")]
mod oauth;
mod renewal;
mod rule;
mod sources;
mod store;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use secrecy::SecretString;

pub use self::cached::{CacheLimits, CachedResolver};
pub use self::chain::ChainResolver;
pub use self::configured::ConfiguredResolver;
pub use self::installation_key::InstallationKey;
pub use self::installation_record::{Renewable, StoredCredential};
pub use self::installations::{Installations, Installed};
pub use self::installed::InstalledResolver;
pub(crate) use self::installed::Known;
#[cfg(feature = "kubernetes")]
pub use self::kubernetes::{ClusterSecrets, KubernetesCredentials};
pub use self::links::{Link, LinkId, LinkReason, LinkSubject, Links};
#[cfg(feature = "local-store")]
pub use self::local::{KeySource, LocalCredentials, LocalOptions};
pub use self::memory::MemoryCredentials;
#[cfg(all(feature = "oauth", feature = "test-util"))]
pub(crate) use self::oauth::fuzz as oauth_fuzz;
#[cfg(feature = "oauth")]
pub use self::oauth::{
    AuthorizationAnswer, Authorizations, Begun, Finished, NewAuthorization, OAuthOptions,
    PendingAuthorization, Renewals, client_document,
};
pub use self::renewal::{Protection, Renewal, Renewed};
pub use self::rule::CredentialRule;
pub use self::sources::{Environment, SecretData, SecretPlace, SecretReader, SlotSources, Source};
pub use self::store::{
    CredentialStore, Listed, Precondition, Record, RecordKey, RecordKind, StoreChange, Version,
};
use crate::auth::Principal;
use crate::error::Result;
pub use crate::id::{InvalidOwner, Owner, OwnerKind};
use crate::id::{ServerId, SlotName};
use crate::server::ServerSpec;

/// Identifies what was installed. It is part of the instance's key, so it must not be a plain hash of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revision(Arc<str>);

impl Revision {
    /// Creates a revision with this name.
    pub fn new(name: impl AsRef<str>) -> Self {
        Self(name.as_ref().into())
    }

    /// The revision of a server that needs no credential.
    pub fn none() -> Self {
        Self("none".into())
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Counts the tokens obtained for a revision. Grows with each refresh; not part of the instance's key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation(pub u64);

/// Values for a server's slots, and their owner.
#[derive(Clone)]
pub struct Credential {
    /// Owner of the values.
    pub owner: Owner,
    /// What was installed.
    pub revision: Revision,
    /// Generation of the token that was obtained last.
    pub generation: Generation,
    /// The values, by slot.
    pub values: BTreeMap<SlotName, SecretString>,
    /// Expiry of the values; `None` if unknown or never.
    pub expires_at: Option<SystemTime>,
}

impl Credential {
    /// The credential of a server without slots: no values, owned by the organization.
    pub fn none() -> Self {
        Self {
            owner: Owner::Organization,
            revision: Revision::none(),
            generation: Generation::default(),
            values: BTreeMap::new(),
            expires_at: None,
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("owner", &self.owner)
            .field("revision", &self.revision)
            .field("generation", &self.generation)
            .field("slots", &self.values.keys().collect::<Vec<_>>())
            .field("expires_at", &self.expires_at)
            .finish()
    }
}

/// A request to a resolver.
#[derive(Clone, Copy, Debug)]
pub struct CredentialRequest<'a> {
    /// The caller.
    pub principal: &'a Principal,
    /// The server that needs the credential.
    pub server: &'a ServerSpec,
    /// The rule of the route.
    pub rule: &'a CredentialRule,
    /// The credential that the upstream has just rejected. The resolver must not return it again.
    pub rejected: Option<(&'a Revision, Generation)>,
    /// The caller's own token, for a resolver that exchanges it. It must never be forwarded as it is.
    pub token: Option<&'a SecretString>,
}

/// A credential of an owner was replaced or removed.
#[derive(Clone, Debug)]
pub struct CredentialChange {
    /// The server.
    pub server: ServerId,
    /// The owner.
    pub owner: Owner,
    /// The current credential; `None` if the owner no longer has one.
    pub now: Option<Arc<Credential>>,
}

/// The revision of an owner's credential for a server that is current.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InForce {
    /// This revision. Instances with any other revision hold a replaced credential.
    Revision(Revision),
    /// The owner has no credential. Instances that hold one must be removed.
    Nothing,
    /// Unknown, for example while the store is unavailable. No instance is removed.
    Unknown,
}

/// Resolves the credential for a call.
///
/// # Contract
/// `Ok(None)` means "not mine, ask the next resolver". `Err` means "mine, and it failed": the call ends and never falls
/// through to another owner's credential. Two results with the same revision hold the same values, or a newer
/// generation of them. If the request reports a rejected credential, the result is a newer one, or
/// [`CredentialRejected`](crate::ErrorKind::CredentialRejected) if there is no newer one. If the rule pins an owner,
/// only that owner's credential is returned. Dropping the future is safe at any point. An implementation runs the suite
/// of [`crate::testing::credential`].
#[async_trait]
pub trait CredentialResolver: fmt::Debug + Send + Sync + 'static {
    /// Returns the credential for this caller and server.
    ///
    /// # Errors
    /// [`CredentialMissing`](crate::ErrorKind::CredentialMissing) and
    /// [`CredentialExpired`](crate::ErrorKind::CredentialExpired) reach the caller as such; any other kind as a failure
    /// of the resolver.
    async fn resolve(&self, request: CredentialRequest<'_>) -> Result<Option<Arc<Credential>>>;

    /// Returns `false` if [`resolve`](Self::resolve) would return `Ok(None)` for this request, which is then not made.
    /// Called for each call, so it must not wait or allocate. If unsure, return `true`.
    fn covers(&self, request: &CredentialRequest<'_>) -> bool {
        let _ = request;
        true
    }

    /// Streams later changes, so that instances with a rotated or removed credential end. A resolver that cannot detect
    /// changes, for example one that reads files, keeps this default: changes take effect at the next call, and older
    /// instances stop when idle.
    fn changes(&self) -> BoxStream<'static, CredentialChange> {
        stream::pending().boxed()
    }

    /// Returns what an owner currently has for a server. Instances that outlived a restart or an outage are compared
    /// with it, and those with another revision are removed. Called periodically, so it must be cheap.
    ///
    /// With this default, no instance is removed because of its credential.
    async fn in_force(&self, server: &ServerSpec, owner: &Owner) -> InForce {
        let _ = (server, owner);
        InForce::Unknown
    }

    /// Records that the server accepted this credential but requires additional scopes, for the owner's next sign-in.
    /// Returns whether a sign-in can help; `Ok(None)` if the credential is not from this resolver, or is not obtained
    /// by sign-in.
    ///
    /// # Errors
    /// If the scopes cannot be recorded.
    async fn wanted(
        &self,
        server: &ServerSpec,
        credential: &Credential,
        scopes: &[String],
    ) -> Result<Option<bool>> {
        let _ = (server, credential, scopes);
        Ok(None)
    }

    /// Lists the places that are searched for this request, and the result of each, for `explain`. Must contain no
    /// secret.
    fn explain(&self, request: CredentialRequest<'_>) -> Vec<String> {
        let _ = request;
        Vec::new()
    }
}
