//! Stores records in a local file, sealed under a key that is kept elsewhere.
//!
//! A write is durable before it is acknowledged, and atomic even if the process is killed or the disk is full.
//! Without the key the file reveals neither names nor values. Only one process can have it open. Rows of deleted
//! records remain in the file, sealed, until their space is reused or [`LocalCredentials::rekey`] rewrites it.

mod errors;
mod file;
mod key;
mod key_file;
mod rows;
mod sealed_file;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use redb::{ReadableTable as _, Table};
use tokio::sync::Semaphore;

use self::errors::{Failed, LocalError};
use self::file::ROWS;
pub use self::key::KeySource;
use self::rows::Head;
use self::sealed_file::SealedFile;
use super::changes::Changes;
use super::store::check_size;
use super::{
    CredentialStore, Environment, Listed, Precondition, Record, RecordKey, RecordKind, StoreChange,
    Version,
};
use crate::error::{Error, Result};

/// Maximum number of concurrent readers.
const READERS: usize = 4;
/// Number of writes between two deletions of expired records.
const SWEEP_EVERY: u64 = 64;

/// Location of a local store and source of its key.
#[derive(Clone, Debug)]
pub struct LocalOptions {
    folder: PathBuf,
    key: KeySource,
    environment: Environment,
}

impl LocalOptions {
    /// Uses `folder` for the store alone, sealed under this key.
    pub fn new(folder: impl Into<PathBuf>, key: KeySource) -> Self {
        Self {
            folder: folder.into(),
            key,
            environment: Environment::process(),
        }
    }

    /// Reads variables from `environment` instead of the process environment.
    #[must_use]
    pub fn with_environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }
}

/// A credential store in a local file.
pub struct LocalCredentials {
    file: Arc<SealedFile>,
    environment: Environment,
    changes: Changes,
    /// Serializes writes in the order of the calls, so that a write with a dropped caller cannot undo a later one.
    writing: Arc<Semaphore>,
    reading: Arc<Semaphore>,
}

impl LocalCredentials {
    /// Opens the store, or creates it if it does not exist. The key file is created along with a new store, but never
    /// for an existing one.
    ///
    /// # Errors
    /// [`Conflict`](crate::ErrorKind::Conflict) if another process holds the store; the error names the process and
    /// since when. [`Config`](crate::ErrorKind::Config) if the folder or the key cannot be used, or if the key is not
    /// the store's; nothing is changed then.
    pub async fn open(options: LocalOptions) -> Result<Self> {
        let key = options.key.ask(&options.environment).await?;
        let store = options.folder.display().to_string();
        let (folder, source) = (options.folder, options.key);
        let opened =
            tokio::task::spawn_blocking(move || SealedFile::open(&folder, key, &source)).await;
        let file = opened.map_err(|_| LocalError::BrokenOff(store))??;
        Ok(Self {
            file: Arc::new(file),
            environment: options.environment,
            changes: Changes::default(),
            writing: Arc::new(Semaphore::new(1)),
            reading: Arc::new(Semaphore::new(READERS)),
        })
    }

    /// Returns the path of the database file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Rewrites the store so that it opens only under the key from `to`. If that is the key file in use, a new key
    /// replaces the one in it; if the file does not exist, it is created. Records and versions are unchanged. The old
    /// key stays valid until the end: an interruption at any point loses nothing.
    ///
    /// # Errors
    /// If a key cannot be read or created, if a record cannot be opened, or if the disk is full.
    ///
    /// # Cancel safety
    /// Rekeying runs to completion once started, even if the future is dropped.
    pub async fn rekey(&self, to: &KeySource) -> Result<()> {
        let key = to.ask(&self.environment).await?;
        self.run(&self.writing, move |file| file.rekey(key)).await
    }

    /// Runs `work` on a blocking thread, limited by `turn`. It runs to completion even if the caller is dropped.
    async fn run<T: Send + 'static>(
        &self,
        turn: &Arc<Semaphore>,
        work: impl FnOnce(&SealedFile) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let broken_off = || LocalError::BrokenOff(self.path().display().to_string());
        let turn = Arc::clone(turn).acquire_owned().await;
        let turn = turn.map_err(|_| broken_off())?;
        let file = Arc::clone(&self.file);
        let done = tokio::task::spawn_blocking(move || {
            let done = work(&file);
            drop(turn);
            done
        });
        done.await.map_err(|_| broken_off())?
    }
}

impl fmt::Debug for LocalCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LocalCredentials")
            .field(&self.path())
            .finish()
    }
}

/// Returns the row's version unless it is absent or has expired.
fn there(row: Option<&[u8]>) -> Option<Version> {
    let head = Head::of(row?)?;
    (!head.is_over(SystemTime::now())).then(|| head.version())
}

/// Deletes expired records on every `SWEEP_EVERY`th write.
fn sweep(table: &mut Table<'_, (&str, &str), &[u8]>, write: u64) -> Result<(), Failed> {
    if write.is_multiple_of(SWEEP_EVERY) {
        let now = SystemTime::now();
        table.retain(|_, row| !Head::of(row).is_some_and(|head| head.is_over(now)))?;
    }
    Ok(())
}

// === impl CredentialStore ===

#[async_trait]
impl CredentialStore for LocalCredentials {
    async fn get(&self, key: &RecordKey) -> Result<Option<(Record, Version)>> {
        let key = key.clone();
        let look = move |file: &SealedFile| {
            file.read(|secret, transaction| {
                let at = rows::place(secret, &key);
                let table = transaction.open_table(ROWS)?;
                let found = table.get((key.kind.as_str(), at.as_str()))?;
                let row = found.as_ref().map(redb::AccessGuard::value);
                let (Some(row), Some(version)) = (row, there(row)) else {
                    return Ok(None);
                };
                let opened = rows::open(secret, key.kind, &at, row);
                let unsealed = || Error::from(LocalError::Unsealed(key.to_string()));
                let (_, record) = opened.ok_or_else(unsealed)?;
                Ok(Some((record, version)))
            })
        };
        self.run(&self.reading, look).await
    }

    async fn put(
        &self,
        key: &RecordKey,
        record: Record,
        precondition: Precondition,
    ) -> Result<Version> {
        check_size(key, &record)?;
        let (key, changes) = (key.clone(), self.changes.clone());
        let write = move |file: &SealedFile| {
            let version = file.write(|secret, transaction, write| {
                let at = rows::place(secret, &key);
                let place = (key.kind.as_str(), at.as_str());
                let mut table = transaction.open_table(ROWS)?;
                let found = there(table.get(place)?.as_ref().map(redb::AccessGuard::value));
                precondition.check(&key, found.as_ref())?;
                let row = rows::seal(secret, &key, &record, write);
                table.insert(place, row.as_slice())?;
                sweep(&mut table, write)?;
                Ok(Version(write.to_string()))
            })?;
            changes.tell(StoreChange::Put(key));
            Ok(version)
        };
        self.run(&self.writing, write).await
    }

    async fn delete(&self, key: &RecordKey, precondition: Precondition) -> Result<bool> {
        let (key, changes) = (key.clone(), self.changes.clone());
        let delete = move |file: &SealedFile| {
            let taken = file.write(|secret, transaction, _| {
                let at = rows::place(secret, &key);
                let place = (key.kind.as_str(), at.as_str());
                let mut table = transaction.open_table(ROWS)?;
                let found = there(table.get(place)?.as_ref().map(redb::AccessGuard::value));
                let Some(found) = found else {
                    return Ok(false);
                };
                precondition.check(&key, Some(&found))?;
                table.remove(place)?;
                Ok(true)
            })?;
            if taken {
                changes.tell(StoreChange::Deleted(key));
            }
            Ok(taken)
        };
        self.run(&self.writing, delete).await
    }

    async fn list(&self, kind: RecordKind) -> Result<Vec<Listed>> {
        let look = move |file: &SealedFile| {
            let mut listed = file.read(|secret, transaction| {
                let (table, now) = (transaction.open_table(ROWS)?, SystemTime::now());
                let mut listed = Vec::new();
                // Places are hex digits, so `g` is beyond all of them.
                for entry in table.range((kind.as_str(), "")..(kind.as_str(), "g"))? {
                    let (at, row) = entry?;
                    let Some(head) = Head::of(row.value()).filter(|head| !head.is_over(now)) else {
                        continue;
                    };
                    match rows::open(secret, kind, at.value().1, row.value()) {
                        Some((key, record)) => listed.push((key, record, head.version())),
                        None => tracing::warn!(%kind, at = at.value().1, "a stored record cannot be opened"),
                    }
                }
                Ok(listed)
            })?;
            listed.sort_unstable_by(|(one, ..), (other, ..)| one.cmp(other));
            Ok(listed)
        };
        self.run(&self.reading, look).await
    }

    fn watch(&self) -> BoxStream<'static, Result<StoreChange>> {
        self.changes.watch()
    }
}

#[cfg(test)]
mod tests;
