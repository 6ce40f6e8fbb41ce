//! The list cache: the lists of servers and the results of their handshakes, kept across restarts.
//!
//! Listing does not start a server if its lists are cached. Lists are cached per server, owner and installed revision
//! (not per isolation scope or generation), stored once per distinct content, and refreshed while an instance runs.
//! Lists of a removed revision are dropped, from the store as well.

mod annotating_servers;
mod collector;
mod fetch;
mod item;
mod key;
mod override_conflicts;
mod page;
mod persistence;
mod seen_uris;
mod server_lists;
mod shared_address;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard, RwLock};
use tokio_util::task::TaskTracker;

use self::annotating_servers::AnnotatingServers;
pub(crate) use self::fetch::{Fetched, ask_for, fetch, method_of};
pub(crate) use self::item::{HeaderParam, KeptItem};
pub(crate) use self::key::{Changed, ItemKinds, ListKey};
pub(crate) use self::override_conflicts::override_conflicts;
pub(crate) use self::page::{Source, page};
use self::persistence::Stored;
pub(crate) use self::server_lists::{Kept, ListState};
use crate::auth::Principal;
use crate::credential::{Owner, Revision};
use crate::id::ServerId;
use crate::limits::MAX_SERVER_LIST_BYTES;
use crate::router::{
    Claim, Conflict, Hints, ItemKind, Known, Listed, Lists, ListsBy, View, ViewEntry,
};
use crate::seal::StateKey;
use crate::state::StateStore;

/// All cached lists.
#[derive(Debug)]
pub(crate) struct Catalog {
    stored: Arc<Stored>,
    /// Writes to the store, which the end of the caller does not interrupt.
    writes: TaskTracker,
    kept: RwLock<HashMap<ListKey, Entry>>,
    /// Revisions that were just replaced, while their instances finish their calls.
    superseded: Mutex<HashMap<(ServerId, Owner), Vec<Revision>>>,
    /// The index that routing uses.
    lists: Lists,
    annotating: AnnotatingServers,
    carried: Mutex<seen_uris::Carried>,
    hasher: foldhash::fast::RandomState,
}

/// The lists of one owner's revision. Owners with equal lists share them.
#[derive(Debug)]
struct Entry {
    kept: Arc<Kept>,
    cost: usize,
    /// Used to find owners with equal lists.
    hash: u64,
}

impl Catalog {
    pub(crate) fn new(store: Arc<dyn StateStore>, key: Arc<StateKey>) -> Self {
        Self {
            stored: Arc::new(Stored::new(store, key)),
            writes: TaskTracker::new(),
            kept: RwLock::default(),
            superseded: Mutex::default(),
            lists: Lists::default(),
            annotating: AnnotatingServers::default(),
            carried: Mutex::default(),
            hasher: foldhash::fast::RandomState::default(),
        }
    }

    /// Returns the cached lists, loading them from the store if they are not in memory.
    pub(crate) async fn get(&self, key: &ListKey) -> Option<Arc<Kept>> {
        if let Some(kept) = self.peek(key) {
            // An owner may have returned to an older revision.
            if !self
                .lists
                .is_current(&key.server, &key.owner, &key.revision)
            {
                self.put(key, Arc::clone(&kept));
            }
            return Some(kept);
        }
        let kept = match self.stored.get(key).await {
            Ok(Some(kept)) => Arc::new(kept),
            Ok(None) => {
                self.assume_no_annotations(&key.server);
                return None;
            }
            Err(error) => {
                tracing::warn!(server = %key.server, %error, "kept lists cannot be read");
                // Otherwise each call would wait for the store.
                self.assume_no_annotations(&key.server);
                return None;
            }
        };
        self.put(key, Arc::clone(&kept));
        Some(kept)
    }

    /// Makes this revision the current one of an owner's credential. The lists of other revisions are dropped and no
    /// longer accepted.
    pub(crate) fn supersede(&self, server: &ServerId, owner: &Owner, now: &Revision) {
        let mut gone = Vec::new();
        let mut all = self.kept.write();
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

    /// Drops the lists of an owner after the credential for the server was removed.
    pub(crate) fn forget(&self, server: &ServerId, owner: &Owner) {
        let mut all = self.kept.write();
        all.retain(|key, _| !key.is_of(server, owner));
        drop(all);
        self.superseded().remove(&(server.clone(), owner.clone()));
        self.lists.forget(server, owner);
    }

    /// Like [`forget`](Self::forget), for the stored lists, unless the owner has a credential again.
    pub(crate) async fn forget_stored(&self, server: &ServerId, owner: &Owner) {
        let wanted = || {
            let all = self.kept.read();
            all.keys().any(|key| key.is_of(server, owner))
        };
        if let Err(error) = self.stored.remove(server, owner, wanted).await {
            tracing::warn!(%server, %error, "lists of a removed credential are still kept");
        }
    }

    fn superseded(&self) -> MutexGuard<'_, HashMap<(ServerId, Owner), Vec<Revision>>> {
        self.superseded.lock()
    }

    /// Returns the lists that are in memory.
    pub(crate) fn peek(&self, key: &ListKey) -> Option<Arc<Kept>> {
        self.kept
            .read()
            .get(key)
            .map(|entry| Arc::clone(&entry.kept))
    }

    /// Publishes the lists that have arrived, while others are awaited.
    pub(crate) fn publish(&self, key: &ListKey, kept: &Kept) {
        if !self.is_superseded(key) {
            self.put(key, Arc::new(kept.clone()));
        }
    }

    /// Withdraws published lists after the fetch failed. Stored lists are kept.
    pub(crate) fn retract(&self, key: &ListKey) {
        let mut all = self.kept.write();
        if all.remove(key).is_some() {
            self.lists
                .forget_revision(&key.server, &key.owner, &key.revision);
        }
    }

    fn is_superseded(&self, key: &ListKey) -> bool {
        let of = (key.server.clone(), key.owner.clone());
        let superseded = self.superseded();
        let before = superseded.get(&of);
        before.is_some_and(|before| before.contains(&key.revision))
    }

    /// Replaces lists by new ones. Returns what changed.
    pub(crate) async fn keep(
        &self,
        key: &ListKey,
        kept: Kept,
        before: Option<Arc<Kept>>,
    ) -> Changed {
        if self.is_superseded(key) {
            return Changed::default();
        }
        let changed = kept.changed_since(before.as_deref());
        if before.is_some_and(|before| *before == kept) {
            return Changed::default();
        }
        let kept = Arc::new(kept);
        self.put(key, Arc::clone(&kept));
        let (stored, key) = (Arc::clone(&self.stored), key.clone());
        let written = self.writes.spawn(async move {
            if let Err(error) = stored.put(&key, &kept).await {
                tracing::warn!(server = %key.server, %error, "lists cannot be kept");
            }
        });
        // Fails only if the write panicked.
        let _ = written.await;
        changed
    }

    /// Waits until all lists that were to be kept are stored.
    pub(crate) async fn written(&self) {
        self.writes.close();
        self.writes.wait().await;
    }

    fn put(&self, key: &ListKey, kept: Arc<Kept>) {
        // Updated under the lock, so that routing uses the lists that were put last.
        let mut all = self.kept.write();
        self.lists
            .put(&key.server, &key.owner, &key.revision, listed(&kept));
        let hash = kept.hash(&self.hasher);
        let mut others = all.iter().filter(|(other, _)| other.server == key.server);
        let same = others.find(|(_, entry)| entry.hash == hash && *entry.kept == *kept);
        let kept = same.map_or(kept, |(_, entry)| Arc::clone(&entry.kept));
        let cost = kept.cost();
        all.insert(key.clone(), Entry { kept, cost, hash });
        self.make_room(&mut all, key);
        let mut lists = all.iter().filter(|(other, _)| other.server == key.server);
        let annotates = lists.any(|(_, entry)| entry.kept.annotates());
        self.annotating.set(&key.server, annotates);
    }

    /// Records that a server has no tool that requires arguments in headers, unless its lists arrived meanwhile.
    fn assume_no_annotations(&self, server: &ServerId) {
        // With the lock, so that lists that arrive now take precedence.
        let _lists = self.kept.read();
        if self.annotating.get(server).is_none() {
            self.annotating.set(server, false);
        }
    }

    /// Evicts other owners' lists of the same server from memory while their total size exceeds the limit; the store
    /// still has them.
    fn make_room(&self, all: &mut HashMap<ListKey, Entry>, key: &ListKey) {
        let mut seen = HashSet::new();
        let of_server = all.iter().filter(|(other, _)| other.server == key.server);
        let distinct = of_server.filter(|(_, entry)| seen.insert(Arc::as_ptr(&entry.kept)));
        let mut total: usize = distinct.map(|(_, entry)| entry.cost).sum();
        while total > MAX_SERVER_LIST_BYTES {
            let is_other = |other: &&ListKey| other.server == key.server && *other != key;
            let Some(other) = all.keys().find(is_other).cloned() else {
                return;
            };
            let Some(entry) = all.remove(&other) else {
                return;
            };
            if Arc::strong_count(&entry.kept) == 1 {
                total = total.saturating_sub(entry.cost);
            }
            self.lists
                .forget_revision(&other.server, &other.owner, &other.revision);
        }
    }

    /// Returns `true` if the tool declares an output schema to any owner.
    pub(crate) fn has_output_schema(&self, server: &ServerId, tool: &str) -> bool {
        let all = self.kept.read();
        let mut lists = all.iter().filter(|(key, _)| key.server == *server);
        lists.any(|(_, entry)| {
            let mut tools = entry.kept.items(ItemKind::Tool).iter();
            tools.any(|item| item.name == tool && item.has_output_schema())
        })
    }

    /// Returns whether any tool of the server requires arguments in headers; `None` until its lists are looked up.
    pub(crate) fn annotates(&self, server: &ServerId) -> Option<bool> {
        self.annotating.get(server)
    }

    /// Returns `true` if the lists of these kinds that apply to this principal are in memory.
    pub(crate) fn knows(
        &self,
        principal: &Principal,
        entry: &ViewEntry,
        kinds: ItemKinds<'_>,
    ) -> bool {
        self.lists.knows(principal, entry, kinds)
    }

    /// Returns a number that increases whenever a list changes.
    pub(crate) fn version(&self) -> u64 {
        self.lists.version()
    }

    /// Returns the name conflicts in this principal's view.
    pub(crate) fn conflicts(&self, principal: &Principal, view: &View) -> Vec<Conflict> {
        self.lists.conflicts(principal, view)
    }

    /// Remembers the URIs that a result carried to a principal.
    pub(crate) fn carried(&self, server: &ServerId, principal: &Principal, uris: Vec<String>) {
        if !uris.is_empty() {
            let mut carried = self.carried.lock();
            carried.add(server, principal, uris);
        }
    }

    /// Returns the claim of a server with a result that carried this URI to the principal.
    fn carried_claim(&self, principal: &Principal, entry: &ViewEntry, uri: &str) -> Option<Claim> {
        let carried = self.carried.lock();
        let number = carried.number(&entry.server, principal, uri)?;
        Some(Claim::Carried(number))
    }
}

/// Extracts what routing needs from cached lists.
fn listed(kept: &Kept) -> Listed {
    let kinds = ItemKind::ALL.into_iter();
    let start = if kept.has_skills() {
        Listed::default().with_scheme("skill")
    } else {
        Listed::default()
    };
    kinds.fold(start, |listed, kind| {
        let items = kept.items(kind).iter();
        let named = listed.with(kind, items.clone().map(|item| &item.name[..]));
        let named = items.fold(named, |listed, item| {
            let defined = item.ui.iter().map(|uri| &uri[..]);
            let listed = listed.with_defined(defined);
            listed.with_hints(&item.name[..], item.hints)
        });
        let is_resource = matches!(kind, ItemKind::Resource | ItemKind::Template);
        let named = if is_resource && kept.offers(kind) {
            named.with_resources()
        } else {
            named
        };
        if kept.awaits(&[kind]) {
            named.awaiting(kind)
        } else {
            named
        }
    })
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

    fn uncut(
        &self,
        principal: &Principal,
        entry: &ViewEntry,
        kind: ItemKind,
        shown: &str,
    ) -> Option<Arc<str>> {
        self.lists.uncut(principal, entry, kind, shown)
    }

    fn hints(&self, principal: &Principal, entry: &ViewEntry, tool: &str) -> Hints {
        self.lists.hints(principal, entry, tool)
    }

    fn claim(&self, principal: &Principal, entry: &ViewEntry, uri: &str) -> Option<Claim> {
        match self.lists.claim(principal, entry, uri) {
            certain @ Some(Claim::Listed | Claim::Defined) => certain,
            other => self.carried_claim(principal, entry, uri).or(other),
        }
    }
}

#[cfg(test)]
mod tests;
