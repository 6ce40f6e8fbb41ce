//! Where lists outlive a restart: one document for each server and owner, which the lists of the next revision of the
//! owner's credential take the place of.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::{Kept, ListKey};
use crate::credential::{Owner, Revision};
use crate::error::Result;
use crate::id::ServerId;
use crate::seal::StateKey;
use crate::state::StateStore;

/// The documents of all lists.
#[derive(Debug)]
pub(super) struct Stored {
    store: Arc<dyn StateStore>,
    key: Arc<StateKey>,
    /// One at a time, so that what is taken away was not written a moment ago.
    writing: Mutex<()>,
}

impl Stored {
    pub(super) fn new(store: Arc<dyn StateStore>, key: Arc<StateKey>) -> Self {
        Self {
            store,
            key,
            writing: Mutex::default(),
        }
    }

    /// Under which name the lists of an owner's credential are stored; those that need no credential stand beside them.
    fn document(&self, server: &ServerId, owner: &Owner, without: bool) -> String {
        let owner = owner.to_string();
        let kind = if without { "without" } else { "with" };
        let parts = [server.as_str(), &owner, kind];
        let digest = self.key.digest("kept lists", parts.map(str::as_bytes));
        format!("lists.{server}.{}", digest.hex(8))
    }

    fn of(&self, key: &ListKey) -> String {
        self.document(&key.server, &key.owner, key.is_without())
    }

    /// What stands in the document for the revision.
    fn revision(&self, revision: &Revision) -> String {
        let digest = self
            .key
            .digest("revision of kept lists", [revision.as_str().as_bytes()]);
        digest.hex(8)
    }

    /// What is stored of this very revision.
    pub(super) async fn get(&self, key: &ListKey) -> Result<Option<Kept>> {
        let document = self.store.get(&self.of(key)).await?;
        Ok(document.and_then(|document| Kept::read(&document, &self.revision(&key.revision))))
    }

    /// Stores lists in the place of those of any other revision.
    pub(super) async fn put(&self, key: &ListKey, kept: &Kept) -> Result<()> {
        let document = kept.write(&self.revision(&key.revision));
        let _one_at_a_time = self.writing.lock().await;
        self.store.put(&self.of(key), document).await
    }

    /// Takes away what is stored for an owner's credential, unless it is wanted by now.
    pub(super) async fn remove(
        &self,
        server: &ServerId,
        owner: &Owner,
        wanted: impl Fn() -> bool,
    ) -> Result<()> {
        let _one_at_a_time = self.writing.lock().await;
        if wanted() {
            return Ok(());
        }
        self.store
            .remove(&self.document(server, owner, false))
            .await
    }
}
