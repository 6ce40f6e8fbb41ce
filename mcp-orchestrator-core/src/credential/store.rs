//! The seam behind which installed credentials are kept.

use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use secrecy::SecretString;

use super::{Generation, Owner, Revision};
use crate::error::Result;
use crate::id::{ServerId, SlotName};

/// Under what an installation is stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstallationKey {
    /// The server.
    pub server: ServerId,
    /// Whose it is.
    pub owner: Owner,
}

/// A stored credential and its per-install settings.
#[derive(Clone)]
pub struct StoredCredential {
    /// What was installed.
    pub revision: Revision,
    /// Which token was last obtained with it.
    pub generation: Generation,
    /// The secret values.
    pub values: BTreeMap<SlotName, SecretString>,
    /// Plain settings of this installation.
    pub settings: BTreeMap<String, String>,
    /// When the values end.
    pub expires_at: Option<SystemTime>,
}

impl fmt::Debug for StoredCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredCredential")
            .field("revision", &self.revision)
            .field("generation", &self.generation)
            .field("slots", &self.values.keys().collect::<Vec<_>>())
            .field("settings", &self.settings)
            .field("expires_at", &self.expires_at)
            .finish()
    }
}

/// Which write of an entry this is; only its store can compare it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version(pub String);

/// What must hold for a write to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing: the last writer wins.
    Any,
    /// There is no such entry.
    Absent,
    /// The entry is as it was read.
    Unchanged(Version),
}

/// One change in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreChange {
    /// Written, new or anew.
    Put(InstallationKey),
    /// Taken away.
    Deleted(InstallationKey),
}

/// Keeps installed credentials.
///
/// # Contract
/// A `put` that answered `Ok` survives a crash (as far as the store keeps anything at all). A refused precondition is
/// [`Conflict`](crate::ErrorKind::Conflict) and changes nothing. `watch` begins before it returns: what is written
/// after the call is seen, in the order of the writes. A watcher that falls behind gets an `Err` item in the place of
/// what it missed, has to list again, and hears the changes after that. An implementation runs
/// [`crate::testing::credential`]'s suite.
#[async_trait]
pub trait CredentialStore: fmt::Debug + Send + Sync + 'static {
    /// The entry and its version; `None` where there is none.
    async fn get(&self, key: &InstallationKey) -> Result<Option<(StoredCredential, Version)>>;
    /// Writes the entry where the precondition holds.
    async fn put(
        &self,
        key: &InstallationKey,
        credential: StoredCredential,
        precondition: Precondition,
    ) -> Result<Version>;
    /// Takes the entry away. Absent is Ok.
    async fn delete(&self, key: &InstallationKey) -> Result<()>;
    /// All keys, in order.
    async fn list(&self) -> Result<Vec<InstallationKey>>;
    /// Each change from now on.
    fn watch(&self) -> BoxStream<'static, Result<StoreChange>>;
}
