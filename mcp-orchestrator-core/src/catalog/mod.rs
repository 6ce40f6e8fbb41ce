//! What servers offer: their lists and what they said of themselves, kept across restarts.
//!
//! A list wakes nothing that is known. The lists are kept per server, owner and installed revision (not per isolation
//! scope or generation), once per distinct content, and renewed while an instance runs. Those of a revision that is gone
//! are forgotten, also by the store.

mod carried;
mod fetch;
mod kept;
mod page;
mod stored;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use arc_swap::ArcSwap;

pub(crate) use self::fetch::{ask, fetch};
pub(crate) use self::kept::{HeaderParam, Kept, KeptItem};
pub(crate) use self::page::{Source, page};
use self::stored::Stored;
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

impl ListKey {
    /// Whose lists these are.
    pub(crate) fn server(&self) -> &ServerId {
        &self.server
    }

    /// Whether these are the lists that need no credential.
    fn is_without(&self) -> bool {
        self.revision == Revision::none()
    }

    fn is_of(&self, server: &ServerId, owner: &Owner) -> bool {
        self.server == *server && self.owner == *owner && !self.is_without()
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
    stored: Stored,
    kept: RwLock<HashMap<ListKey, Arc<Kept>>>,
    /// Revisions that another one has just taken the place of, and whose instances finish their calls.
    superseded: Mutex<HashMap<(ServerId, Owner), Vec<Revision>>>,
    /// What they tell routing.
    lists: Lists,
    /// Servers with a tool that wants arguments repeated in headers.
    annotating: ArcSwap<HashSet<ServerId>>,
    carried: Mutex<carried::Carried>,
}

impl Catalog {
    pub(crate) fn new(store: Arc<dyn StateStore>, key: Arc<StateKey>) -> Self {
        Self {
            stored: Stored::new(store, key),
            kept: RwLock::default(),
            superseded: Mutex::default(),
            lists: Lists::default(),
            annotating: ArcSwap::default(),
            carried: Mutex::default(),
        }
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
        let kept = match self.stored.get(key).await {
            Ok(kept) => Arc::new(kept?),
            Err(error) => {
                tracing::warn!(server = %key.server, %error, "kept lists cannot be read");
                return None;
            }
        };
        self.put(key, Arc::clone(&kept));
        Some(kept)
    }

    /// An owner's credential is this revision now. The lists of those before it are forgotten, and not kept any more.
    pub(crate) fn supersede(&self, server: &ServerId, owner: &Owner, now: &Revision) {
        let mut gone = Vec::new();
        let mut all = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|key, _| {
            let stays = !key.is_of(server, owner) || key.revision == *now;
            if !stays {
                gone.push(key.revision.clone());
            }
            stays
        });
        drop(all);
        let mut superseded = self.superseded();
        let before = superseded
            .entry((server.clone(), owner.clone()))
            .or_default();
        if !gone.is_empty() {
            *before = gone;
        }
        before.retain(|revision| revision != now);
    }

    /// An owner has no credential for the server any more.
    pub(crate) fn forget(&self, server: &ServerId, owner: &Owner) {
        let mut all = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|key, _| !key.is_of(server, owner));
        drop(all);
        self.superseded().remove(&(server.clone(), owner.clone()));
        self.lists.forget(server, owner);
    }

    /// As [`forget`](Self::forget), for what is stored; unless the owner has a credential again.
    pub(crate) async fn forget_stored(&self, server: &ServerId, owner: &Owner) {
        let wanted = || {
            let all = self.kept.read().unwrap_or_else(PoisonError::into_inner);
            all.keys().any(|key| key.is_of(server, owner))
        };
        if let Err(error) = self.stored.remove(server, owner, wanted).await {
            tracing::warn!(%server, %error, "lists of a removed credential are still kept");
        }
    }

    fn superseded(&self) -> MutexGuard<'_, HashMap<(ServerId, Owner), Vec<Revision>>> {
        self.superseded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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
        let of = (key.server.clone(), key.owner.clone());
        let is_over = |before: &Vec<Revision>| before.contains(&key.revision);
        if self.superseded().get(&of).is_some_and(is_over) {
            return Changed::default();
        }
        let before = self.get(key).await;
        let changed = kept.changed_since(before.as_deref());
        if before.as_ref().is_some_and(|before| **before == kept) {
            return Changed::default();
        }
        let kept = Arc::new(kept);
        self.put(key, Arc::clone(&kept));
        if let Err(error) = self.stored.put(key, &kept).await {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Era;
    use crate::state::MemoryState;
    use crate::transport::Hello;

    fn kept(tool: &str) -> Kept {
        let mut kept = Kept::new(Hello {
            era: Era::Legacy,
            version: "2025-11-25".to_owned(),
            result: "{}".into(),
        });
        let raw = format!(r#"{{"name":"{tool}","inputSchema":{{"type":"object"}}}}"#);
        let item = KeptItem::read(ItemKind::Tool, &raw).unwrap();
        kept.items_mut(ItemKind::Tool).push(item);
        kept
    }

    fn key(owner: &Owner, revision: Revision) -> ListKey {
        ListKey {
            server: ServerId::new("a").unwrap(),
            owner: owner.clone(),
            revision,
        }
    }

    #[tokio::test]
    async fn lists_of_a_revision_that_is_gone_are_gone() {
        let store: Arc<dyn StateStore> = Arc::new(MemoryState::default());
        let state_key = Arc::new(StateKey::new([1; 32]));
        let catalog = || Catalog::new(Arc::clone(&store), Arc::clone(&state_key));
        let owner = Owner::Organization;
        let [without, one, two] =
            [Revision::none(), Revision::new("1"), Revision::new("2")].map(|it| key(&owner, it));
        let before = catalog();
        before.keep(&without, kept("w")).await;
        before.keep(&one, kept("x")).await;
        assert_eq!(store.names().await.unwrap().len(), 2);
        before.supersede(&two.server, &owner, &two.revision);
        before.keep(&two, kept("y")).await;
        // An instance of the one before finishes its calls, and says that its lists have changed.
        assert!(!before.keep(&one, kept("z")).await.any());
        assert_eq!(store.names().await.unwrap().len(), 2, "no document more");
        assert_eq!(before.peek(&one), None);
        // A restart later.
        let after = catalog();
        assert_eq!(after.get(&one).await, None);
        assert_eq!(after.get(&two).await.as_deref(), Some(&kept("y")));
        after.forget(&two.server, &owner);
        after.forget_stored(&two.server, &owner).await;
        assert_eq!(after.get(&two).await, None);
        assert_eq!(after.get(&without).await.as_deref(), Some(&kept("w")));
        assert_eq!(store.names().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn an_owner_who_goes_back_to_a_revision_has_its_lists_kept_again() {
        let store: Arc<dyn StateStore> = Arc::new(MemoryState::default());
        let catalog = Catalog::new(store, Arc::new(StateKey::new([1; 32])));
        let owner = Owner::Organization;
        let [one, two] = ["1", "2"].map(|it| key(&owner, Revision::new(it)));
        catalog.keep(&one, kept("x")).await;
        for now in [&two, &one] {
            catalog.supersede(&now.server, &owner, &now.revision);
            catalog.keep(now, kept("y")).await;
        }
        assert_eq!(catalog.get(&one).await.as_deref(), Some(&kept("y")));
    }
}
