//! Persists lists across restarts: numbered documents hold the lists, and an index per server maps an owner's
//! credential to its document. Owners with equal lists share a document.
//!
//! A number is reused only after the index without it was stored. A store that can empty documents but not delete them
//! therefore does not fill up.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use super::{Kept, ListKey};
use crate::credential::Owner;
use crate::error::{Error, ErrorKind, Result};
use crate::id::ServerId;
use crate::limits::MAX_STORED_LISTS_PER_SERVER;
use crate::seal::StateKey;
use crate::state::StateStore;

/// The documents of all lists.
#[derive(Debug)]
pub(super) struct Stored {
    store: Arc<dyn StateStore>,
    key: Arc<StateKey>,
    servers: Mutex<HashMap<ServerId, Arc<ServerLists>>>,
}

/// The stored lists of one server.
#[derive(Debug, Default)]
struct ServerLists {
    loaded: OnceCell<()>,
    state: Mutex<State>,
    /// Held while writing to the store. A change may already have been written by the previous holder of the lock.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    index: Index,
    /// Number of changes to the index.
    changes: u64,
    /// Number of changes that have been written.
    written: u64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Index {
    format: u32,
    /// By the digest of the owner.
    owners: BTreeMap<String, Entry>,
    /// Document numbers by the digest of their content.
    documents: BTreeMap<String, u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// A digest of the credential's revision.
    of: String,
    /// The digest of the document.
    content: String,
}

const FORMAT: u32 = 1;

impl State {
    /// Sets the content for an owner. Returns `false` if the index is full.
    fn set(&mut self, owner: String, entry: Entry) -> bool {
        let is_full = self.index.owners.len() >= MAX_STORED_LISTS_PER_SERVER;
        if is_full && !self.index.owners.contains_key(&owner) {
            return false;
        }
        if self.index.owners.get(&owner) != Some(&entry) {
            self.index.owners.insert(owner, entry);
            self.changes += 1;
        }
        true
    }

    fn is_written(&self) -> bool {
        self.written == self.changes
    }

    /// Returns the lowest unused document number.
    fn free_number(&self) -> u32 {
        let used: HashSet<u32> = self.index.documents.values().copied().collect();
        (0..)
            .find(|number| !used.contains(number))
            .unwrap_or_default()
    }

    /// Returns the index to write, the change up to which it is current, and the numbers of documents that it no longer
    /// references.
    fn next_index(&self) -> (Index, u64, Vec<u32>) {
        let mut next = self.index.clone();
        let owners = next.owners.values();
        let used: HashSet<_> = owners.map(|entry| &entry.content).collect();
        let (kept, unused) = std::mem::take(&mut next.documents)
            .into_iter()
            .partition::<BTreeMap<_, _>, _>(|(content, _)| used.contains(content));
        next.documents = kept;
        (next, self.changes, unused.into_values().collect())
    }
}

impl ServerLists {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Stored {
    pub(super) fn new(store: Arc<dyn StateStore>, key: Arc<StateKey>) -> Self {
        Self {
            store,
            key,
            servers: Mutex::default(),
        }
    }

    /// Returns the stored lists of exactly this revision.
    pub(super) async fn get(&self, key: &ListKey) -> Result<Option<Kept>> {
        let lists = self.server(&key.server).await?;
        let owner = self.owner(&key.owner, key.is_without());
        let (content, number) = {
            let index = &lists.state().index;
            let entry = index.owners.get(&owner);
            let Some(entry) = entry.filter(|entry| entry.of == self.revision(key)) else {
                return Ok(None);
            };
            let Some(number) = index.documents.get(&entry.content) else {
                return Ok(None);
            };
            (entry.content.clone(), *number)
        };
        let document = self.store.get(&document_name(&key.server, number)).await?;
        let document = document.filter(|document| self.digest(document) == content);
        let kept = document.and_then(|document| Kept::read(&document));
        if kept.is_none() {
            // The document is missing or damaged. Forget it, so that it is stored again after the lists are fetched.
            lists.state().index.documents.remove(&content);
        }
        Ok(kept)
    }

    /// Stores lists, replacing those of any other revision.
    pub(super) async fn put(&self, key: &ListKey, kept: &Kept) -> Result<()> {
        let lists = self.server(&key.server).await?;
        let document = kept.write();
        let content = self.digest(&document);
        let entry = Entry {
            of: self.revision(key),
            content: content.clone(),
        };
        let owner = self.owner(&key.owner, key.is_without());
        if !lists.state().set(owner, entry) {
            return Ok(());
        }
        let _writing = lists.writing.lock().await;
        let number = {
            let state = lists.state();
            let is_stored = state.index.documents.contains_key(&content);
            (!is_stored).then(|| state.free_number())
        };
        if let Some(number) = number {
            let name = document_name(&key.server, number);
            self.store.put(&name, document).await?;
            let mut state = lists.state();
            state.index.documents.insert(content, number);
            state.changes += 1;
        }
        self.write_index(&key.server, &lists).await
    }

    /// Removes what is stored for an owner's credential, unless it is wanted again.
    pub(super) async fn remove(
        &self,
        server: &ServerId,
        owner: &Owner,
        wanted: impl Fn() -> bool,
    ) -> Result<()> {
        let lists = self.server(server).await?;
        if wanted() {
            return Ok(());
        }
        {
            let mut state = lists.state();
            if state
                .index
                .owners
                .remove(&self.owner(owner, false))
                .is_none()
            {
                return Ok(());
            }
            state.changes += 1;
        }
        let _writing = lists.writing.lock().await;
        self.write_index(server, &lists).await
    }

    /// Returns the stored state of a server, loading its index on first use.
    async fn server(&self, server: &ServerId) -> Result<Arc<ServerLists>> {
        let lists = {
            let mut servers = self.servers.lock();
            Arc::clone(servers.entry(server.clone()).or_default())
        };
        let load = async {
            let document = self.store.get(&index_name(server)).await?;
            let index = document.and_then(|document| read_index(&document));
            let mut state = lists.state();
            state.index = index.unwrap_or_default();
            state.index.format = FORMAT;
            Ok::<(), Error>(())
        };
        lists.loaded.get_or_try_init(|| load).await?;
        Ok(lists)
    }

    /// Writes the index if it has unwritten changes, and removes the documents that it no longer references. The caller
    /// holds `writing`.
    async fn write_index(&self, server: &ServerId, lists: &ServerLists) -> Result<()> {
        if lists.state().is_written() {
            return Ok(());
        }
        let (next, changes, unused) = lists.state().next_index();
        let document = serde_json::to_vec(&next).map_err(unwritable)?;
        self.store.put(&index_name(server), document.into()).await?;
        {
            let mut state = lists.state();
            state.index.documents = next.documents;
            state.written = changes;
        }
        for number in unused {
            self.store.remove(&document_name(server, number)).await?;
        }
        Ok(())
    }

    fn digest(&self, document: &Bytes) -> String {
        self.key.digest("kept lists", [&document[..]]).hex(16)
    }

    /// Returns the index key of an owner. The lists that need no credential have a separate key.
    fn owner(&self, owner: &Owner, without: bool) -> String {
        let kind = if without { "without" } else { "with" };
        let owner = owner.to_string();
        let digest = self
            .key
            .digest("owner of kept lists", [owner.as_bytes(), kind.as_bytes()]);
        digest.hex(8)
    }

    fn revision(&self, key: &ListKey) -> String {
        let revision = key.revision.as_str().as_bytes();
        self.key.digest("revision of kept lists", [revision]).hex(8)
    }
}

fn read_index(document: &Bytes) -> Option<Index> {
    let index: Index = serde_json::from_slice(document).ok()?;
    (index.format == FORMAT).then_some(index)
}

fn index_name(server: &ServerId) -> String {
    format!("lists.{server}")
}

fn document_name(server: &ServerId, number: u32) -> String {
    format!("lists.{server}.{number}")
}

fn unwritable(error: serde_json::Error) -> Error {
    Error::new(
        ErrorKind::Internal,
        "the index of kept lists cannot be written",
    )
    .with_source(error)
}
