//! The credential store: keeps all secret state that must outlive a call, as small records by kind and name.
//!
//! A store does not interpret its records; typed layers such as [`Installations`](super::Installations) do. A custom
//! store is therefore one small implementation of [`CredentialStore`], and one contract suite verifies it.

use std::fmt;
use std::time::SystemTime;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use secrecy::SecretString;

use crate::error::{Error, ErrorKind, Result};
use crate::id::RecordName;

/// What a record describes.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecordKind {
    /// A credential of an owner for a server.
    Installation,
    /// A token issued by the orchestrator: its description, under its hash.
    Token,
    /// An unused setup link.
    Link,
    /// A sign-in in progress: state and PKCE verifier.
    Flow,
    /// A client that is registered with an issuer.
    Client,
    /// A time-limited claim to do something once.
    Claim,
}

impl RecordKind {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::Installation,
        Self::Token,
        Self::Link,
        Self::Flow,
        Self::Client,
        Self::Claim,
    ];

    /// Returns the kind's name in stores: a DNS label that never changes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Installation => "installation",
            Self::Token => "token",
            Self::Link => "link",
            Self::Flow => "flow",
            Self::Client => "client",
            Self::Claim => "claim",
        }
    }

    /// Returns the kind with this name.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The key of a record. It appears in errors and logs, so secrets are hashed before they become a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordKey {
    /// What the record describes.
    pub kind: RecordKind,
    /// The record's name, unique within its kind.
    pub name: RecordName,
}

impl RecordKey {
    /// Creates a key.
    pub fn new(kind: RecordKind, name: RecordName) -> Self {
        Self { kind, name }
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// A secret text with an optional expiry time.
#[derive(Clone)]
pub struct Record {
    /// JSON, as defined by the typed layer.
    pub value: SecretString,
    /// From this time on the record counts as absent, and the store may drop it. `None`: it does not expire.
    pub expires_at: Option<SystemTime>,
}

impl Record {
    /// Maximum length of a value in bytes, which every store can hold.
    pub const MAX_VALUE_LEN: usize = 1_000_000;

    /// Creates a record that does not expire.
    pub fn new(value: impl Into<SecretString>) -> Self {
        Self {
            value: value.into(),
            expires_at: None,
        }
    }

    /// Sets the expiry time.
    #[must_use]
    pub fn expiring(mut self, at: SystemTime) -> Self {
        self.expires_at = Some(at);
        self
    }

    /// Returns `true` if the record has expired at `now`.
    pub fn is_over(&self, now: SystemTime) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Identifies one write of a record. Only the store that issued it can compare it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version(pub String);

/// The condition for a write to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// None: the last writer wins.
    Any,
    /// The record does not exist.
    Absent,
    /// The record has not changed since this version was read.
    Unchanged(Version),
}

impl Precondition {
    /// Checks the condition against the version found in the store, if any.
    ///
    /// # Errors
    /// [`Conflict`](ErrorKind::Conflict) with the record's key.
    pub fn check(&self, key: &RecordKey, found: Option<&Version>) -> Result<()> {
        let state = match (self, found) {
            (Self::Any, _) | (Self::Absent, None) => return Ok(()),
            (Self::Unchanged(read), Some(found)) if read == found => return Ok(()),
            (Self::Absent, Some(_)) => "is there already",
            (Self::Unchanged(_), Some(_)) => "was changed concurrently",
            (Self::Unchanged(_), None) => "is gone",
        };
        let message = format!("the stored {key} {state}");
        Err(Error::new(ErrorKind::Conflict, message))
    }
}

/// A change in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreChange {
    /// The record was created or replaced.
    Put(RecordKey),
    /// The record was deleted.
    Deleted(RecordKey),
}

/// A record with its key and version, as returned by a list.
pub type Listed = (RecordKey, Record, Version);

/// Stores records: installations, token hashes, links, sign-ins in progress, registered clients and claims.
///
/// # Contract
/// A write that returned `Ok` survives a crash, if the store is persistent at all. Writes are atomic. A failed
/// precondition is [`Conflict`](crate::ErrorKind::Conflict) and changes nothing. Of several concurrent writes under
/// one precondition exactly one succeeds, even if several processes share the store. Each write has a version that no
/// earlier write of that record had.
///
/// An expired record counts as absent everywhere, whether it has been dropped or not; `watch` need not report that it
/// was dropped. A value may have up to [`Record::MAX_VALUE_LEN`] bytes; a larger one is
/// [`TooLarge`](crate::ErrorKind::TooLarge). A record that exists but cannot be read is an error of `get` that names
/// it, and is omitted from `list` with a warning in the log, so that it does not hide the others.
///
/// `watch` takes effect before it returns: every write made after the call is reported, and the changes of each
/// record arrive in the order of its writes. A watcher that lags gets an `Err` item in place of the changes that it
/// missed, must list again, and then receives later changes.
///
/// Dropping a future is safe at every point: the write then happens completely or not at all, and never undoes one
/// that was requested later. An implementation runs [`crate::testing::credential`]'s suite.
#[async_trait]
pub trait CredentialStore: fmt::Debug + Send + Sync + 'static {
    /// Returns the record and its version, or `None` if it does not exist.
    async fn get(&self, key: &RecordKey) -> Result<Option<(Record, Version)>>;
    /// Writes the record if the precondition holds.
    async fn put(
        &self,
        key: &RecordKey,
        record: Record,
        precondition: Precondition,
    ) -> Result<Version>;
    /// Deletes the record if the precondition holds. Returns `true` if this call deleted it. Deleting an absent
    /// record is `Ok(false)` under every precondition, so a single-use record is taken by exactly one caller.
    async fn delete(&self, key: &RecordKey, precondition: Precondition) -> Result<bool>;
    /// Returns all records of a kind, ordered by name.
    async fn list(&self, kind: RecordKind) -> Result<Vec<Listed>>;
    /// Returns a stream of the changes made after this call.
    fn watch(&self) -> BoxStream<'static, Result<StoreChange>>;
}

/// Rejects a record that is larger than every store must be able to hold.
///
/// # Errors
/// [`TooLarge`](ErrorKind::TooLarge) with the key and the size.
pub(crate) fn check_size(key: &RecordKey, record: &Record) -> Result<()> {
    use secrecy::ExposeSecret as _;
    let bytes = record.value.expose_secret().len();
    if bytes <= Record::MAX_VALUE_LEN {
        return Ok(());
    }
    let text = format!(
        "the {key} has {bytes} bytes; a store holds {}",
        Record::MAX_VALUE_LEN
    );
    Err(Error::new(ErrorKind::TooLarge, text))
}
