//! Stores state in memory, for the lifetime of the process.

use parking_lot::Mutex;
use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;

use super::StateStore;
use crate::error::Result;

/// A state store in memory.
#[derive(Debug, Default)]
pub struct MemoryState(Mutex<BTreeMap<String, Bytes>>);

impl MemoryState {
    fn map(&self) -> parking_lot::MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.0.lock()
    }
}

#[async_trait]
impl StateStore for MemoryState {
    async fn get(&self, name: &str) -> Result<Option<Bytes>> {
        Ok(self.map().get(name).cloned())
    }

    async fn put(&self, name: &str, document: Bytes) -> Result<()> {
        self.map().insert(name.to_owned(), document);
        Ok(())
    }

    async fn remove(&self, name: &str) -> Result<()> {
        self.map().remove(name);
        Ok(())
    }

    async fn names(&self) -> Result<Vec<String>> {
        Ok(self.map().keys().cloned().collect())
    }
}
