//! State that outlives a restart, other than credentials: lists and small facts.

#[cfg(feature = "kubernetes")]
mod config_maps;
mod dir;
mod files;
pub(crate) mod lock;
mod memory;
pub(crate) mod private;
mod purge;

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

#[cfg(feature = "kubernetes")]
pub use self::config_maps::ConfigMapState;
pub use self::dir::StateDir;
pub use self::files::FileState;
pub use self::memory::MemoryState;
pub use self::purge::StateLeftovers;
use crate::error::Result;

/// Stores small documents by name: lists, initialize results, running tasks.
///
/// # Contract
/// `put` replaces the whole document: a reader sees either the old or the new one. Documents hold no secrets. Names
/// have 1 to 128 characters of `a-z 0-9 . -`. An implementation runs [`crate::testing::state`]'s suite.
#[async_trait]
pub trait StateStore: fmt::Debug + Send + Sync + 'static {
    /// Returns the document, or `None` if it does not exist.
    async fn get(&self, name: &str) -> Result<Option<Bytes>>;
    /// Writes the document.
    async fn put(&self, name: &str, document: Bytes) -> Result<()>;
    /// Deletes the document. Deleting an absent document is `Ok`.
    async fn remove(&self, name: &str) -> Result<()>;
    /// Returns the names of all documents, in order.
    async fn names(&self) -> Result<Vec<String>>;
}
