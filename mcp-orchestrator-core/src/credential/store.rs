//! The seam behind which everything that is secret and must outlive a call is kept: small records by kind and name.
//!
//! A store knows nothing of what its records mean. Typed layers do, as [`Installations`](super::Installations): so
//! somebody's own store is one small implementation of [`CredentialStore`], and one suite proves it.

use std::fmt;
use std::time::SystemTime;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use secrecy::SecretString;

use crate::error::{Error, ErrorKind, Result};
use crate::id::RecordName;

/// What a record is about.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecordKind {
    /// A server installed by an owner.
    Installation,
    /// A token of ours: what is known of it, under its hash.
    Token,
    /// A link that is not used yet.
    Link,
    /// A sign-in on its way: state and PKCE verifier.
    Flow,
    /// A client that is registered with an issuer.
    Client,
    /// The right to do something once, for a while.
    Claim,
}

impl RecordKind {
    /// All that there are.
    pub const ALL: [Self; 6] = [
        Self::Installation,
        Self::Token,
        Self::Link,
        Self::Flow,
        Self::Client,
        Self::Claim,
    ];

    /// Its word, which stands in stores and never changes: a DNS label.
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

    /// The kind of this word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Under what a record is stored. It is shown in errors and logs: what is secret is hashed before it becomes a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordKey {
    /// What it is about.
    pub kind: RecordKind,
    /// What it is called among its kind.
    pub name: RecordName,
}

impl RecordKey {
    /// The key of this kind and name.
    pub fn new(kind: RecordKind, name: RecordName) -> Self {
        Self { kind, name }
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// What is stored: a secret text, and how long it counts.
#[derive(Clone)]
pub struct Record {
    /// JSON of the typed layer.
    pub value: SecretString,
    /// From then on it counts as absent, and the store may drop it; `None`: it stays.
    pub expires_at: Option<SystemTime>,
}

impl Record {
    /// Bytes that a value may have: what every store can hold.
    pub const LARGEST: usize = 1_000_000;

    /// A record that stays.
    pub fn new(value: impl Into<SecretString>) -> Self {
        Self {
            value: value.into(),
            expires_at: None,
        }
    }

    /// The same until then.
    #[must_use]
    pub fn expiring(mut self, at: SystemTime) -> Self {
        self.expires_at = Some(at);
        self
    }

    /// Whether it is over by now.
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

/// Which write of a record this is; only its store can compare it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version(pub String);

/// What must hold for a write to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing: the last writer wins.
    Any,
    /// There is no such record.
    Absent,
    /// The record is as it was read.
    Unchanged(Version),
}

impl Precondition {
    /// Whether it holds where this version of the record is found, or none.
    ///
    /// # Errors
    /// [`Conflict`](ErrorKind::Conflict) with the record's key.
    pub fn check(&self, key: &RecordKey, found: Option<&Version>) -> Result<()> {
        let state = match (self, found) {
            (Self::Any, _) | (Self::Absent, None) => return Ok(()),
            (Self::Unchanged(read), Some(found)) if read == found => return Ok(()),
            (Self::Absent, Some(_)) => "is there already",
            (Self::Unchanged(_), Some(_)) => "was changed by somebody else",
            (Self::Unchanged(_), None) => "is gone",
        };
        let message = format!("the stored {key} {state}");
        Err(Error::new(ErrorKind::Conflict, message))
    }
}

/// One change in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreChange {
    /// Written, new or anew.
    Put(RecordKey),
    /// Taken away.
    Deleted(RecordKey),
}

/// A record with its key and version, as a list answers it.
pub type Listed = (RecordKey, Record, Version);

/// Keeps records: installations, hashes of tokens, links, sign-ins on their way, registered clients, claims.
///
/// # Contract
/// A write that answered `Ok` survives a crash (as far as the store keeps anything at all). A write is whole or not
/// there. A refused precondition is [`Conflict`](crate::ErrorKind::Conflict) and changes nothing; of several writes at
/// once under one precondition one succeeds, also where several processes share the store. Each write has a version
/// that no write of that record had before.
///
/// A record that is over counts as absent everywhere, whether it was dropped already or not; that it was dropped need
/// not be told by `watch`. A value may have [`Record::LARGEST`] bytes; a larger one is
/// [`TooLarge`](crate::ErrorKind::TooLarge). A record that the store has and cannot read is an error of `get` that names
/// it, and left out of `list` with a warning in the log: it does not hide the others.
///
/// `watch` begins before it returns: what is written after the call is seen, each record's changes in the order of its
/// writes. A watcher that falls behind gets an `Err` item in the place of what it missed, has to list again, and hears
/// the changes after that.
///
/// Dropping a future is safe at every point: the write then happens as a whole or not at all, and never undoes one that
/// was asked for later. An implementation runs [`crate::testing::credential`]'s suite.
#[async_trait]
pub trait CredentialStore: fmt::Debug + Send + Sync + 'static {
    /// The record and its version; `None` where there is none.
    async fn get(&self, key: &RecordKey) -> Result<Option<(Record, Version)>>;
    /// Writes the record where the precondition holds.
    async fn put(
        &self,
        key: &RecordKey,
        record: Record,
        precondition: Precondition,
    ) -> Result<Version>;
    /// Takes the record away where the precondition holds; whether it was this call that did. Absent is `Ok(false)`
    /// under every precondition: so what may be used once is taken by exactly one.
    async fn delete(&self, key: &RecordKey, precondition: Precondition) -> Result<bool>;
    /// All records of a kind, in the order of their names.
    async fn list(&self, kind: RecordKind) -> Result<Vec<Listed>>;
    /// Each change from now on.
    fn watch(&self) -> BoxStream<'static, Result<StoreChange>>;
}

/// Refuses a record that not every store could hold.
///
/// # Errors
/// [`TooLarge`](ErrorKind::TooLarge) with its key and size.
pub(crate) fn check_size(key: &RecordKey, record: &Record) -> Result<()> {
    use secrecy::ExposeSecret as _;
    let bytes = record.value.expose_secret().len();
    if bytes <= Record::LARGEST {
        return Ok(());
    }
    let text = format!(
        "the {key} has {bytes} bytes; a store holds {}",
        Record::LARGEST
    );
    Err(Error::new(ErrorKind::TooLarge, text))
}
