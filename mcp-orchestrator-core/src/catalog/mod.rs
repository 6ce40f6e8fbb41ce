//! What servers offer: their lists and what they said of themselves, kept across restarts.
//!
//! A list wakes nothing that is known. The lists are kept per server, owner and installed revision (not per isolation
//! scope or generation), once per distinct content, and renewed while an instance runs.

mod carried;
mod fetch;
mod kept;
mod page;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use arc_swap::ArcSwap;

pub(crate) use self::fetch::{ask, fetch};
pub(crate) use self::kept::{HeaderParam, Kept, KeptItem};
pub(crate) use self::page::{Source, page};
use crate::auth::Principal;
use crate::credential::{Credential, Owner, Revision};
use crate::id::ServerId;
use crate::router::{
    Claim, Conflict, Hints, ItemKind, Known, Listed, Lists, ListsBy, View, ViewEntry,
};
use crate::runtime::InstanceKey;
use crate::seal::StateKey;
use crate::state::StateStore;

/// Whose lists.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ListKey {
    server: ServerId,
    owner: Owner,
    revision: Revision,
}

impl ListKey {
    pub(crate) fn new(server: &ServerId, credential: &Credential) -> Self {
        let (owner, revision) = (credential.owner.clone(), credential.revision.clone());
        Self {
            server: server.clone(),
            owner,
            revision,
        }
    }
}

impl From<&InstanceKey> for ListKey {
    fn from(key: &InstanceKey) -> Self {
        let (owner, revision) = (key.owner().clone(), key.revision().clone());
        Self {
            server: key.server().clone(),
            owner,
            revision,
        }
    }
}

/// Which lists became other ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    pub(crate) tools: bool,
    pub(crate) prompts: bool,
    pub(crate) resources: bool,
}

impl Changed {
    pub(crate) const ALL: Self = Self {
        tools: true,
        prompts: true,
        resources: true,
    };

    pub(crate) fn any(self) -> bool {
        self.tools || self.prompts || self.resources
    }
}

/// All kept lists.
#[derive(Debug)]
pub(crate) struct Catalog {
    store: Arc<dyn StateStore>,
    key: Arc<StateKey>,
    kept: RwLock<HashMap<ListKey, Arc<Kept>>>,
    /// What they tell routing.
    lists: Lists,
    /// Servers with a tool that wants arguments repeated in headers.
    annotating: ArcSwap<HashSet<ServerId>>,
    carried: Mutex<carried::Carried>,
}

impl Catalog {
    pub(crate) fn new(store: Arc<dyn StateStore>, key: Arc<StateKey>) -> Self {
        Self {
            store,
            key,
            kept: RwLock::default(),
            lists: Lists::default(),
            annotating: ArcSwap::default(),
            carried: Mutex::default(),
        }
    }

    /// Under which name they are stored.
    fn document(&self, key: &ListKey) -> String {
        let owner = key.owner.to_string();
        let parts = [key.server.as_str(), &owner, key.revision.as_str()];
        let digest = self.key.digest("kept lists", parts.map(str::as_bytes));
        format!("lists.{}.{}", key.server, digest.hex(8))
    }

    /// What is kept; reads it from the store where this process has not yet.
    pub(crate) async fn get(&self, key: &ListKey) -> Option<Arc<Kept>> {
        if let Some(kept) = self.peek(key) {
            // An owner may have gone back to an older revision.
            if !self
                .lists
                .is_current(&key.server, &key.owner, &key.revision)
            {
                self.put(key, Arc::clone(&kept));
            }
            return Some(kept);
        }
        let document = match self.store.get(&self.document(key)).await {
            Ok(document) => document?,
            Err(error) => {
                tracing::warn!(server = %key.server, %error, "kept lists cannot be read");
                return None;
            }
        };
        let kept = Arc::new(Kept::read(&document)?);
        self.put(key, Arc::clone(&kept));
        Some(kept)
    }

    /// An owner has no credential for the server any more.
    pub(crate) fn forget(&self, server: &ServerId, owner: &Owner) {
        let mut all = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|key, _| key.server != *server || key.owner != *owner);
        self.lists.forget(server, owner);
    }

    /// What is kept in this process.
    pub(crate) fn peek(&self, key: &ListKey) -> Option<Arc<Kept>> {
        self.kept
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .cloned()
    }

    /// Keeps new lists; says what changed by it.
    pub(crate) async fn keep(&self, key: &ListKey, kept: Kept) -> Changed {
        let before = self.get(key).await;
        let changed = kept.changed_since(before.as_deref());
        if before.as_ref().is_some_and(|before| **before == kept) {
            return Changed::default();
        }
        let document = kept.write();
        self.put(key, Arc::new(kept));
        if let Err(error) = self.store.put(&self.document(key), document).await {
            tracing::warn!(server = %key.server, %error, "lists cannot be kept");
        }
        changed
    }

    fn put(&self, key: &ListKey, kept: Arc<Kept>) {
        // Under the lock, so that what routing knows is what was put last.
        let mut all = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        self.lists.put(
            &key.server,
            &key.owner,
            &key.revision,
            ItemKind::ALL
                .into_iter()
                .fold(Listed::default(), |listed, kind| {
                    let items = kept.items(kind).iter();
                    let named = items.clone().map(|item| &item.name[..]);
                    items.fold(listed.with(kind, named), |listed, item| {
                        listed.with_hints(&item.name[..], item.hints)
                    })
                }),
        );
        all.insert(key.clone(), kept);
        let mut lists = all.iter().filter(|(other, _)| other.server == key.server);
        let annotates = lists.any(|(_, kept)| kept.annotates());
        if annotates != self.annotates(&key.server) {
            let mut servers = HashSet::clone(&self.annotating.load());
            if annotates {
                servers.insert(key.server.clone());
            } else {
                servers.remove(&key.server);
            }
            self.annotating.store(Arc::new(servers));
        }
    }

    /// Whether a tool of the server says how its results look, to anybody.
    pub(crate) fn has_output_schema(&self, server: &ServerId, tool: &str) -> bool {
        let all = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let mut lists = all.iter().filter(|(key, _)| key.server == *server);
        lists.any(|(_, kept)| {
            let mut tools = kept.items(ItemKind::Tool).iter();
            tools.any(|item| item.name == tool && item.has_output_schema())
        })
    }

    /// Whether any tool of the server wants arguments repeated in headers.
    pub(crate) fn annotates(&self, server: &ServerId) -> bool {
        self.annotating.load().contains(server)
    }

    /// Whether the lists that decide for this principal are in memory.
    pub(crate) fn knows(&self, principal: &Principal, entry: &ViewEntry) -> bool {
        self.lists.knows(principal, entry)
    }

    /// What stands under one name more than once in a view of this principal's.
    pub(crate) fn conflicts(&self, principal: &Principal, view: &View) -> Vec<Conflict> {
        self.lists.conflicts(principal, view)
    }

    /// Remembers URIs that a result carried to a principal.
    pub(crate) fn carried(&self, server: &ServerId, principal: &Principal, uris: Vec<String>) {
        if !uris.is_empty() {
            let mut carried = self.carried.lock().unwrap_or_else(PoisonError::into_inner);
            carried.add(server, principal, uris);
        }
    }
}

impl Known for Catalog {
    fn holders(
        &self,
        principal: &Principal,
        kind: ItemKind,
        name: &str,
        each: &mut dyn FnMut(&ServerId, &ListsBy<'_>),
    ) {
        self.lists.holders(principal, kind, name, each);
    }

    fn lists(&self, principal: &Principal, entry: &ViewEntry, kind: ItemKind, name: &str) -> bool {
        self.lists.lists(principal, entry, kind, name)
    }

    fn long_names(&self, principal: &Principal, entry: &ViewEntry, kind: ItemKind) -> Vec<String> {
        self.lists.long_names(principal, entry, kind)
    }

    fn hints(&self, principal: &Principal, entry: &ViewEntry, tool: &str) -> Hints {
        self.lists.hints(principal, entry, tool)
    }

    fn claim(&self, principal: &Principal, entry: &ViewEntry, uri: &str) -> Option<Claim> {
        self.lists.claim(principal, entry, uri).or_else(|| {
            let carried = self.carried.lock().unwrap_or_else(PoisonError::into_inner);
            carried
                .has(&entry.server, principal, uri)
                .then_some(Claim::Carried)
        })
    }
}
