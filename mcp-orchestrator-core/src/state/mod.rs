//! What outlives a restart besides credentials: the seam behind which lists and small facts are kept.

#[cfg(feature = "kubernetes")]
mod config_maps;
mod dir;
mod files;
pub(crate) mod lock;
mod memory;
pub(crate) mod private;
mod remains;

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

#[cfg(feature = "kubernetes")]
pub use self::config_maps::ConfigMapState;
pub use self::dir::StateDir;
pub use self::files::FileState;
pub use self::memory::MemoryState;
pub use self::remains::StateRemains;
use crate::error::Result;

/// Keeps small documents by name: lists, initialize results, running tasks.
///
/// # Contract
/// A `put` replaces the document as a whole: a reader sees the old or the new one. Nothing secret is put here. Names
/// have 1 to 128 characters of `a-z 0-9 . -`. An implementation runs [`crate::testing::state`]'s suite.
#[async_trait]
pub trait StateStore: fmt::Debug + Send + Sync + 'static {
    /// The document; `None` where there is none.
    async fn get(&self, name: &str) -> Result<Option<Bytes>>;
    /// Writes the document.
    async fn put(&self, name: &str, document: Bytes) -> Result<()>;
    /// Takes it away. Absent is Ok.
    async fn remove(&self, name: &str) -> Result<()>;
    /// The names of all documents, in order.
    async fn names(&self) -> Result<Vec<String>>;
}
