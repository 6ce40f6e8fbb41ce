//! Installed credentials that live as long as the process.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::broadcast;

use super::{
    CredentialStore, InstallationKey, Precondition, StoreChange, StoredCredential, Version,
};
use crate::error::{Error, ErrorKind, Result};

/// How far a watcher may fall behind.
const CHANGES: usize = 256;

/// Keeps credentials in memory.
pub struct MemoryCredentials {
    entries: Mutex<Entries>,
    changes: broadcast::Sender<StoreChange>,
}

#[derive(Default)]
struct Entries {
    by_key: BTreeMap<InstallationKey, (StoredCredential, u64)>,
    /// Counts all writes of the store, so that an entry written anew is never taken for the one before.
    writes: u64,
}

impl MemoryCredentials {
    /// An empty store.
    pub fn new() -> Self {
        Self {
            entries: Mutex::default(),
            changes: broadcast::Sender::new(CHANGES),
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Told while the entries are locked, so that changes come in the order of the writes.
    fn tell(&self, change: StoreChange) {
        // Fails where nobody watches.
        let _ = self.changes.send(change);
    }
}

impl Default for MemoryCredentials {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.entries().by_key.keys()).finish()
    }
}

fn version(write: u64) -> Version {
    Version(write.to_string())
}

fn refused(key: &InstallationKey, found: bool) -> Error {
    let state = if found {
        "was changed by somebody else"
    } else {
        "is gone"
    };
    let message = format!(
        "the credential of {} for server {} {state}",
        key.owner, key.server
    );
    Error::new(ErrorKind::Conflict, message).with_server(&key.server)
}

// === impl CredentialStore ===

#[async_trait]
impl CredentialStore for MemoryCredentials {
    async fn get(&self, key: &InstallationKey) -> Result<Option<(StoredCredential, Version)>> {
        let entries = self.entries();
        let found = entries.by_key.get(key);
        Ok(found.map(|(credential, write)| (credential.clone(), version(*write))))
    }

    async fn put(
        &self,
        key: &InstallationKey,
        credential: StoredCredential,
        precondition: Precondition,
    ) -> Result<Version> {
        let mut entries = self.entries();
        let found = entries.by_key.get(key).map(|(_, write)| version(*write));
        let holds = match precondition {
            Precondition::Any => true,
            Precondition::Absent => found.is_none(),
            Precondition::Unchanged(read) => found.as_ref() == Some(&read),
        };
        if !holds {
            return Err(refused(key, found.is_some()));
        }
        entries.writes += 1;
        let write = entries.writes;
        entries.by_key.insert(key.clone(), (credential, write));
        self.tell(StoreChange::Put(key.clone()));
        Ok(version(write))
    }

    async fn delete(&self, key: &InstallationKey) -> Result<()> {
        let mut entries = self.entries();
        if entries.by_key.remove(key).is_some() {
            self.tell(StoreChange::Deleted(key.clone()));
        }
        Ok(())
    }

    async fn list(&self) -> Result<Vec<InstallationKey>> {
        Ok(self.entries().by_key.keys().cloned().collect())
    }

    fn watch(&self) -> BoxStream<'static, Result<StoreChange>> {
        let changes = self.changes.subscribe();
        let next = |mut changes: broadcast::Receiver<StoreChange>| async move {
            let item = match changes.recv().await {
                Ok(change) => Ok(change),
                Err(broadcast::error::RecvError::Lagged(missed)) => Err(Error::new(
                    ErrorKind::Conflict,
                    format!("the watcher missed {missed} changes of credentials: list them again"),
                )),
                Err(broadcast::error::RecvError::Closed) => return None,
            };
            Some((item, changes))
        };
        stream::unfold(changes, next).boxed()
    }
}

#[cfg(all(test, feature = "test-util"))]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn it_keeps_its_contract() {
        crate::testing::credential::store(&MemoryCredentials::new()).await;
        let shared: Arc<dyn CredentialStore> = Arc::new(MemoryCredentials::new());
        crate::testing::credential::store(&*shared).await;
    }
}
