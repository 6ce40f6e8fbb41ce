//! Stores records in memory, for the lifetime of the process.

use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use parking_lot::{Mutex, MutexGuard};

use super::changes::Changes;
use super::store::check_size;
use super::{
    CredentialStore, Listed, Precondition, Record, RecordKey, RecordKind, StoreChange, Version,
};
use crate::error::Result;

/// Number of writes between two deletions of expired records.
const SWEEP_EVERY: u64 = 64;

/// A credential store in memory.
#[derive(Default)]
pub struct MemoryCredentials {
    records: Mutex<Records>,
    changes: Changes,
}

#[derive(Default)]
struct Records {
    by_key: BTreeMap<RecordKey, (Record, u64)>,
    /// Number of writes so far, so that a record written again never has the version of an earlier one.
    writes: u64,
}

impl MemoryCredentials {
    /// Creates an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock()
    }
}

impl Records {
    /// Returns the record and its version unless it is absent or has expired.
    fn find(&self, key: &RecordKey) -> Option<(&Record, Version)> {
        let (record, write) = self.by_key.get(key)?;
        let found = || (record, version(*write));
        (!record.is_over(SystemTime::now())).then(found)
    }

    fn sweep(&mut self) {
        if self.writes.is_multiple_of(SWEEP_EVERY) {
            let now = SystemTime::now();
            self.by_key.retain(|_, (record, _)| !record.is_over(now));
        }
    }
}

fn version(write: u64) -> Version {
    Version(write.to_string())
}

impl fmt::Debug for MemoryCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.records().by_key.keys()).finish()
    }
}

// === impl CredentialStore ===

#[async_trait]
impl CredentialStore for MemoryCredentials {
    async fn get(&self, key: &RecordKey) -> Result<Option<(Record, Version)>> {
        let records = self.records();
        let found = records.find(key);
        Ok(found.map(|(record, version)| (record.clone(), version)))
    }

    async fn put(
        &self,
        key: &RecordKey,
        record: Record,
        precondition: Precondition,
    ) -> Result<Version> {
        check_size(key, &record)?;
        let mut records = self.records();
        let found = records.find(key).map(|(_, version)| version);
        precondition.check(key, found.as_ref())?;
        records.writes += 1;
        records.sweep();
        let write = records.writes;
        records.by_key.insert(key.clone(), (record, write));
        self.changes.tell(StoreChange::Put(key.clone()));
        Ok(version(write))
    }

    async fn delete(&self, key: &RecordKey, precondition: Precondition) -> Result<bool> {
        let mut records = self.records();
        let Some((_, found)) = records.find(key) else {
            return Ok(false);
        };
        precondition.check(key, Some(&found))?;
        records.by_key.remove(key);
        self.changes.tell(StoreChange::Deleted(key.clone()));
        Ok(true)
    }

    async fn list(&self, kind: RecordKind) -> Result<Vec<Listed>> {
        let (records, now) = (self.records(), SystemTime::now());
        let there = records.by_key.iter();
        let there = there.filter(|(key, (record, _))| key.kind == kind && !record.is_over(now));
        let listed =
            there.map(|(key, (record, write))| (key.clone(), record.clone(), version(*write)));
        Ok(listed.collect())
    }

    fn watch(&self) -> BoxStream<'static, Result<StoreChange>> {
        self.changes.watch()
    }
}

#[cfg(all(test, feature = "test-util"))]
mod tests;
