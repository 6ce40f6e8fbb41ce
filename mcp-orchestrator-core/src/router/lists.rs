//! The lists of all servers, as an index from a name to the servers that list it. A router consults it for names that
//! do not identify their server.
//!
//! The index is a snapshot that is read without a lock and replaced as a whole when a list changes. Lists belong to
//! owners: the index finds the servers that list a name to any owner, and the list of the principal's own credential
//! decides.

mod conflict;
mod server;

use std::collections::HashSet;
use std::sync::Arc;

use arc_swap::ArcSwap;
use foldhash::HashMap;
use parking_lot::Mutex;

pub use self::conflict::{Conflict, ConflictCause};
use self::server::Server;
use super::{Claim, Hints, ItemKind, Known, Listed, ListsBy, ViewEntry};
use crate::auth::Principal;
use crate::credential::{Owner, Revision};
use crate::id::ServerId;

/// Kinds of items that are found by name.
const NAMED: [ItemKind; 3] = [ItemKind::Tool, ItemKind::Prompt, ItemKind::Resource];

/// The lists of all servers.
#[derive(Debug, Default)]
pub struct Lists {
    now: ArcSwap<Snapshot>,
    writing: Mutex<()>,
}

#[derive(Clone, Debug, Default)]
struct Snapshot {
    version: u64,
    places: Arc<HashMap<ServerId, usize>>,
    servers: Vec<Arc<Server>>,
    /// Indexed as [`NAMED`].
    indexes: [Arc<Index>; NAMED.len()],
}

type Index = HashMap<Arc<str>, Holders>;

/// The servers that list a name to any owner, as indexes into `servers`.
#[derive(Clone, Debug)]
enum Holders {
    One(usize),
    Several(Vec<usize>),
}

impl Lists {
    /// Removes the lists of an owner after the credential for a server was removed.
    pub fn forget(&self, server: &ServerId, owner: &Owner) {
        let _one_at_a_time = self.writing.lock();
        let mut next = Snapshot::clone(&self.now.load());
        let Some(place) = next.places.get(server).copied() else {
            return;
        };
        let before = Arc::clone(&next.servers[place]);
        let mut after = Server::clone(&before);
        match owner {
            Owner::Organization => after.organization = None,
            other => drop(after.others.remove(other)),
        }
        next.change(place, &before, after);
        self.now.store(Arc::new(next));
    }

    /// Removes the lists of this revision of an owner's credential, if they are the current ones.
    pub fn forget_revision(&self, server: &ServerId, owner: &Owner, revision: &Revision) {
        let _one_at_a_time = self.writing.lock();
        let mut next = Snapshot::clone(&self.now.load());
        let Some(place) = next.places.get(server).copied() else {
            return;
        };
        let before = Arc::clone(&next.servers[place]);
        if before
            .own(owner, revision)
            .is_none_or(|own| own.revision != *revision)
        {
            return;
        }
        let mut after = Server::clone(&before);
        match owner {
            Owner::Organization if *revision == Revision::none() => after.without = None,
            Owner::Organization => after.organization = None,
            other => drop(after.others.remove(other)),
        }
        next.change(place, &before, after);
        self.now.store(Arc::new(next));
    }

    /// Replaces the lists of a server for this owner's credential.
    pub fn put(&self, server: &ServerId, owner: &Owner, revision: &Revision, listed: Listed) {
        let _one_at_a_time = self.writing.lock();
        let mut next = Snapshot::clone(&self.now.load());
        let place = next.place(server);
        let before = Arc::clone(&next.servers[place]);
        let mut after = Server::clone(&before);
        after.set(owner, revision, listed);
        next.change(place, &before, after);
        self.now.store(Arc::new(next));
    }

    /// Returns `true` if the owner's current lists are those of this revision.
    pub fn is_current(&self, server: &ServerId, owner: &Owner, revision: &Revision) -> bool {
        let now = self.now.load();
        let own = now
            .server(server)
            .and_then(|server| server.own(owner, revision));
        own.is_some_and(|own| own.revision == *revision)
    }

    /// Returns `true` if the lists of these kinds that apply to this principal are known.
    pub fn knows(&self, principal: &Principal, entry: &ViewEntry, kinds: &[ItemKind]) -> bool {
        let now = self.now.load();
        let listed = now.listed(principal, entry);
        listed.is_some_and(|listed| listed.has_all(kinds))
    }

    /// Returns the claim of a server that lists or defines a resource.
    pub(crate) fn naming(
        &self,
        principal: &Principal,
        entry: &ViewEntry,
        uri: &str,
    ) -> Option<Claim> {
        self.now.load().listed(principal, entry)?.naming(uri)
    }

    /// Returns a number that increases whenever a list changes.
    pub fn version(&self) -> u64 {
        self.now.load().version
    }
}

impl Known for Lists {
    fn holders(
        &self,
        principal: &Principal,
        kind: ItemKind,
        name: &str,
        each: &mut dyn FnMut(&ServerId, &ListsBy<'_>),
    ) {
        let now = self.now.load();
        let Some(at) = NAMED.iter().position(|named| *named == kind) else {
            return;
        };
        let mut tell = |place: usize| {
            let server = &*now.servers[place];
            each(&server.id, &|rule| {
                server.is_same_for_all(rule)
                    || server
                        .seen_by(principal, rule)
                        .is_some_and(|listed| listed.has(kind, name))
            });
        };
        match now.indexes[at].get(name) {
            None => {}
            Some(Holders::One(place)) => tell(*place),
            Some(Holders::Several(places)) => places.iter().copied().for_each(tell),
        }
    }

    fn lists(&self, principal: &Principal, entry: &ViewEntry, kind: ItemKind, name: &str) -> bool {
        let now = self.now.load();
        let listed = now.listed(principal, entry);
        listed.is_some_and(|listed| listed.has(kind, name))
    }

    fn uncut(
        &self,
        principal: &Principal,
        entry: &ViewEntry,
        kind: ItemKind,
        shown: &str,
    ) -> Option<Arc<str>> {
        let now = self.now.load();
        now.listed(principal, entry)?
            .uncut(kind, &entry.alias, shown)
    }

    fn hints(&self, principal: &Principal, entry: &ViewEntry, tool: &str) -> Hints {
        let now = self.now.load();
        let listed = now.listed(principal, entry);
        listed.map_or_else(Hints::default, |listed| listed.hints(tool))
    }

    fn claim(&self, principal: &Principal, entry: &ViewEntry, uri: &str) -> Option<Claim> {
        self.now.load().listed(principal, entry)?.claim(uri)
    }
}

impl Snapshot {
    fn server(&self, id: &ServerId) -> Option<&Server> {
        Some(&*self.servers[*self.places.get(id)?])
    }

    fn listed(&self, principal: &Principal, entry: &ViewEntry) -> Option<&Arc<Listed>> {
        self.server(&entry.server)?
            .seen_by(principal, &entry.credential)
    }

    fn change(&mut self, place: usize, before: &Server, after: Server) {
        self.version += 1;
        for (kind, index) in NAMED.into_iter().zip(&mut self.indexes) {
            reindex(index, place, &before.union(kind), &after.union(kind));
        }
        self.servers[place] = Arc::new(after);
    }

    /// Returns the index of a server, adding the server if necessary.
    fn place(&mut self, id: &ServerId) -> usize {
        if let Some(place) = self.places.get(id) {
            return *place;
        }
        let place = self.servers.len();
        Arc::make_mut(&mut self.places).insert(id.clone(), place);
        self.servers.push(Arc::new(Server::new(id.clone())));
        place
    }
}

/// Updates the index after a server's names changed from `before` to `after`.
fn reindex(
    index: &mut Arc<Index>,
    place: usize,
    before: &HashSet<Arc<str>>,
    after: &HashSet<Arc<str>>,
) {
    if before == after {
        return;
    }
    let index = Arc::make_mut(index);
    for name in before.difference(after) {
        let rest = match index.get(name) {
            Some(Holders::Several(places)) => {
                let rest = places.iter().copied().filter(|other| *other != place);
                Holders::of(rest.collect())
            }
            _ => None,
        };
        match rest {
            Some(rest) => drop(index.insert(Arc::clone(name), rest)),
            None => drop(index.remove(name)),
        }
    }
    for name in after.difference(before) {
        let holders = match index.get(name) {
            None => Holders::One(place),
            Some(Holders::One(other)) => Holders::Several(vec![*other, place]),
            Some(Holders::Several(places)) => {
                Holders::Several(places.iter().copied().chain([place]).collect())
            }
        };
        index.insert(Arc::clone(name), holders);
    }
}

impl Holders {
    fn of(places: Vec<usize>) -> Option<Self> {
        match places[..] {
            [] => None,
            [one] => Some(Self::One(one)),
            _ => Some(Self::Several(places)),
        }
    }
}

#[cfg(test)]
mod tests;
