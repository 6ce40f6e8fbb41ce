//! Whose secret an instance holds: the nouns, the resolver's seam and the store's seam.
//!
//! For a server that we run, the credential is the instance itself. So the owner and the revision travel with the
//! secret and become part of the instance's key: one person's instance cannot be handed to another, and a rotated
//! secret is a new instance while the old one finishes its calls.

mod cached;
mod chain;
mod changes;
mod configured;
mod installations;
mod installed;
mod json;
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
mod stored;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use secrecy::SecretString;

pub use self::cached::{CacheLimits, CachedResolver};
pub use self::chain::ChainResolver;
pub use self::configured::ConfiguredResolver;
pub use self::installations::{InstallationKey, Installations, Installed};
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
pub use self::renewal::{Protection, Renewable, Renewal, Renewed};
pub use self::rule::CredentialRule;
pub use self::sources::{Environment, SecretData, SecretPlace, SecretReader, SlotSources, Source};
pub use self::store::{
    CredentialStore, Listed, Precondition, Record, RecordKey, RecordKind, StoreChange, Version,
};
pub use self::stored::StoredCredential;
use crate::auth::Principal;
use crate::error::Result;
use crate::id::{InvalidId, PrincipalId, ServerId, SlotName, TeamId};
use crate::server::ServerSpec;

/// Whose a credential is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Owner {
    /// One user.
    User(PrincipalId),
    /// A team.
    Team(TeamId),
    /// Everybody.
    Organization,
}

/// What kind of owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OwnerKind {
    /// One user.
    User,
    /// A team.
    Team,
    /// Everybody.
    Organization,
}

impl OwnerKind {
    /// All that there are.
    pub const ALL: [Self; 3] = [Self::User, Self::Team, Self::Organization];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Team => "team",
            Self::Organization => "organization",
        }
    }
}

impl Owner {
    /// What kind it is.
    pub fn kind(&self) -> OwnerKind {
        match self {
            Self::User(_) => OwnerKind::User,
            Self::Team(_) => OwnerKind::Team,
            Self::Organization => OwnerKind::Organization,
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user/{id}"),
            Self::Team(id) => write!(f, "team/{id}"),
            Self::Organization => f.write_str("organization"),
        }
    }
}

/// Why a text names no owner.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOwner {
    /// It is of no kind.
    #[error("an owner is user/ID, team/ID or organization")]
    Kind,
    /// Its user or team has no such name.
    #[error(transparent)]
    Name(#[from] InvalidId),
}

/// What its `Display` says.
impl FromStr for Owner {
    type Err = InvalidOwner;

    fn from_str(text: &str) -> Result<Self, InvalidOwner> {
        match text.split_once('/') {
            Some(("user", id)) => Ok(Self::User(PrincipalId::new(id)?)),
            Some(("team", id)) => Ok(Self::Team(TeamId::new(id)?)),
            None if text == "organization" => Ok(Self::Organization),
            _ => Err(InvalidOwner::Kind),
        }
    }
}

/// What was installed. It is part of the instance's key, so it never is a plain hash of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revision(Arc<str>);

impl Revision {
    /// A revision of this name.
    pub fn new(name: impl AsRef<str>) -> Self {
        Self(name.as_ref().into())
    }

    /// That of a server which needs no credential.
    pub fn none() -> Self {
        Self("none".into())
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which token was last obtained with a revision: grows with each refresh, and is not part of the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation(pub u64);

/// Values for a server's slots, and whose they are.
#[derive(Clone)]
pub struct Credential {
    /// Whose they are.
    pub owner: Owner,
    /// What was installed.
    pub revision: Revision,
    /// Which token was last obtained with it.
    pub generation: Generation,
    /// The values.
    pub values: BTreeMap<SlotName, SecretString>,
    /// When they end; `None`: not known, or never.
    pub expires_at: Option<SystemTime>,
}

impl Credential {
    /// That of a server without slots: no values, the organization's.
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

/// What a resolver is asked.
#[derive(Clone, Copy, Debug)]
pub struct CredentialRequest<'a> {
    /// Who calls.
    pub principal: &'a Principal,
    /// Which server needs it.
    pub server: &'a ServerSpec,
    /// The route's rule.
    pub rule: &'a CredentialRule,
    /// What the upstream has just refused: the same again is of no use.
    pub rejected: Option<(&'a Revision, Generation)>,
    /// The caller's own token, for a resolver that exchanges it. It is never sent on as it is.
    pub token: Option<&'a SecretString>,
}

/// A credential of an owner that became another one, or is gone.
#[derive(Clone, Debug)]
pub struct CredentialChange {
    /// For which server.
    pub server: ServerId,
    /// Whose.
    pub owner: Owner,
    /// As it is now; `None`: the owner has none any more.
    pub now: Option<Arc<Credential>>,
}

/// Which revision of a credential an owner has for a server now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InForce {
    /// This one. Instances of any other revision hold a credential that was replaced.
    Revision(Revision),
    /// The owner has none: instances that hold one are to be removed.
    Nothing,
    /// It cannot be said, as while a store does not answer. Nothing is removed.
    Unknown,
}

/// Finds the credential with which a call is made.
///
/// # Contract
/// `Ok(None)` means "not mine, ask the next one". `Err` means "mine, and it failed": the call ends there and never
/// falls through to somebody else's credential. Two calls that answer the same revision answer the same values, or a
/// newer generation of them. A request that says what was rejected is answered with something newer, or with
/// [`CredentialRejected`](crate::ErrorKind::CredentialRejected) where there is nothing newer. A rule that pins an owner
/// is answered with that owner's credential only. Dropping the future is safe at every point. An implementation runs
/// [`crate::testing::credential`]'s suite.
#[async_trait]
pub trait CredentialResolver: fmt::Debug + Send + Sync + 'static {
    /// The credential for this caller and server.
    ///
    /// # Errors
    /// [`CredentialMissing`](crate::ErrorKind::CredentialMissing) and
    /// [`CredentialExpired`](crate::ErrorKind::CredentialExpired) reach the caller as such; any other kind as a failure
    /// of the resolver.
    async fn resolve(&self, request: CredentialRequest<'_>) -> Result<Option<Arc<Credential>>>;

    /// Each change from now on, so that instances of a credential that was rotated or removed end. A resolver that cannot
    /// tell, as one that reads files, keeps this: its changes are seen at the next call, and older instances go to rest.
    fn changes(&self) -> BoxStream<'static, CredentialChange> {
        stream::pending().boxed()
    }

    /// Returns what an owner has for a server now. Instances that outlived a restart or an outage are compared with it,
    /// and those of a revision that is not in force are removed. It is asked again from time to time, so it must be cheap.
    ///
    /// A resolver that keeps this default has no instance removed for its credential.
    async fn in_force(&self, server: &ServerSpec, owner: &Owner) -> InForce {
        let _ = (server, owner);
        InForce::Unknown
    }

    /// The server took this credential and wants more of it: these scopes. Whoever it came from remembers that for its
    /// owner's next sign-in, and answers whether one can help; `Ok(None)`: it is not from here, or nobody signs in for it.
    ///
    /// # Errors
    /// Where that cannot be remembered.
    async fn wanted(
        &self,
        server: &ServerSpec,
        credential: &Credential,
        scopes: &[String],
    ) -> Result<Option<bool>> {
        let _ = (server, credential, scopes);
        Ok(None)
    }

    /// What it would look at for this request, and what it finds there, step by step: for `explain`. It holds no secret.
    fn explain(&self, request: CredentialRequest<'_>) -> Vec<String> {
        let _ = request;
        Vec::new()
    }
}
