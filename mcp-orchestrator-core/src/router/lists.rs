//! What all servers list, as an index from a name to those who list it: what a router asks for names that do not tell
//! their server.
//!
//! It is a snapshot that is read without a lock and replaced as a whole when a list changes. Lists belong to owners:
//! the index says who lists a name to anybody, and the list that a principal's own credential leads to decides.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use foldhash::HashMap;

use super::{Claim, Hints, ItemKind, Known, Listed, ListsBy, View, ViewEntry};
use crate::auth::Principal;
use crate::credential::{CredentialRule, Owner, Revision};
use crate::id::{Alias, ServerId};

/// Kinds whose items are found by their names.
const NAMED: [ItemKind; 3] = [ItemKind::Tool, ItemKind::Prompt, ItemKind::Resource];

/// The lists of all servers.
#[derive(Debug, Default)]
pub struct Lists {
    now: ArcSwap<Snapshot>,
    writing: Mutex<()>,
}

/// An item that several servers of a gateway list to one principal under the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// What it is.
    pub kind: ItemKind,
    /// The name or URI.
    pub name: String,
    /// The servers' names in the gateway, in the order of the configuration: the first one answers.
    pub servers: Vec<Alias>,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers: Vec<&str> = self.servers.iter().map(|alias| alias.as_str()).collect();
        let kind = match self.kind {
            ItemKind::Tool => "tool",
            ItemKind::Prompt => "prompt",
            ItemKind::Resource => "resource",
            ItemKind::Template => "resource template",
        };
        let first = servers.first().copied().unwrap_or_default();
        let all = servers.join(" and ");
        write!(
            f,
            "{kind} {:?} is listed by {all}: {first} answers",
            self.name
        )
    }
}

#[derive(Clone, Debug, Default)]
struct Snapshot {
    places: Arc<HashMap<ServerId, usize>>,
    servers: Vec<Arc<Server>>,
    /// By [`NAMED`].
    indexes: [Arc<Index>; NAMED.len()],
}

type Index = HashMap<Arc<str>, Holders>;

/// The places of the servers that list a name to anybody.
#[derive(Clone, Debug)]
enum Holders {
    One(usize),
    Several(Vec<usize>),
}

/// One server's lists, by owner. Of several revisions of an owner the one that was asked for last stands.
#[derive(Clone, Debug)]
struct Server {
    id: ServerId,
    /// The one that needs no credential.
    without: Option<Own>,
    organization: Option<Own>,
    others: HashMap<Owner, Own>,
}

#[derive(Clone, Debug)]
struct Own {
    revision: Revision,
    listed: Arc<Listed>,
}

impl Lists {
    /// An owner has no credential for a server any more: its lists decide nothing.
    pub fn forget(&self, server: &ServerId, owner: &Owner) {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// From now on these are the lists of a server for this owner's credential.
    pub fn put(&self, server: &ServerId, owner: &Owner, revision: &Revision, listed: Listed) {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Snapshot::clone(&self.now.load());
        let place = next.place(server);
        let before = Arc::clone(&next.servers[place]);
        let mut after = Server::clone(&before);
        after.set(owner, revision, listed);
        next.change(place, &before, after);
        self.now.store(Arc::new(next));
    }

    /// Whether these are the lists that stand for the owner.
    pub fn is_current(&self, server: &ServerId, owner: &Owner, revision: &Revision) -> bool {
        let now = self.now.load();
        let own = now
            .server(server)
            .and_then(|server| server.own(owner, revision));
        own.is_some_and(|own| own.revision == *revision)
    }

    /// Whether the lists that decide for this principal are here.
    pub fn knows(&self, principal: &Principal, entry: &ViewEntry) -> bool {
        self.now.load().listed(principal, entry).is_some()
    }

    /// What stands under one name more than once in a view of this principal's.
    pub fn conflicts(&self, principal: &Principal, view: &View) -> Vec<Conflict> {
        let now = self.now.load();
        let mut found = Vec::new();
        for kind in NAMED {
            if view.entries.len() < 2 || (view.prefixed && kind != ItemKind::Resource) {
                continue;
            }
            let mut holders: BTreeMap<&str, Vec<Alias>> = BTreeMap::new();
            for entry in &view.entries {
                let listed = now.listed(principal, entry);
                for name in listed
                    .and_then(|listed| listed.names(kind))
                    .into_iter()
                    .flatten()
                {
                    if entry.shows(kind, name, || {
                        listed.map_or_else(Hints::default, |listed| listed.hints(name))
                    }) {
                        holders.entry(name).or_default().push(entry.alias.clone());
                    }
                }
            }
            let several = holders.into_iter().filter(|(_, servers)| servers.len() > 1);
            found.extend(several.map(|(name, servers)| Conflict {
                kind,
                name: name.to_owned(),
                servers,
            }));
        }
        found
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

    fn long_names(&self, principal: &Principal, entry: &ViewEntry, kind: ItemKind) -> Vec<String> {
        let now = self.now.load();
        let listed = now.listed(principal, entry);
        listed.map_or_else(Vec::new, |listed| listed.long_names(kind))
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
        for (kind, index) in NAMED.into_iter().zip(&mut self.indexes) {
            reindex(index, place, &before.union(kind), &after.union(kind));
        }
        self.servers[place] = Arc::new(after);
    }

    /// The place of a server, a new one where it has none.
    fn place(&mut self, id: &ServerId) -> usize {
        if let Some(place) = self.places.get(id) {
            return *place;
        }
        let place = self.servers.len();
        Arc::make_mut(&mut self.places).insert(id.clone(), place);
        self.servers.push(Arc::new(Server {
            id: id.clone(),
            without: None,
            organization: None,
            others: HashMap::default(),
        }));
        place
    }
}

impl Server {
    fn all(&self) -> impl Iterator<Item = &Own> {
        let common = self.without.iter().chain(&self.organization);
        common.chain(self.others.values())
    }

    fn own(&self, owner: &Owner, revision: &Revision) -> Option<&Own> {
        match owner {
            Owner::Organization if *revision == Revision::none() => self.without.as_ref(),
            Owner::Organization => self.organization.as_ref(),
            other => self.others.get(other),
        }
    }

    fn set(&mut self, owner: &Owner, revision: &Revision, listed: Listed) {
        // Most owners are listed the same.
        let same = self.all().take(3).find(|own| *own.listed == listed);
        let listed = same.map_or_else(|| Arc::new(listed), |own| Arc::clone(&own.listed));
        let own = Own {
            revision: revision.clone(),
            listed,
        };
        match owner {
            Owner::Organization if *revision == Revision::none() => self.without = Some(own),
            Owner::Organization => self.organization = Some(own),
            other => drop(self.others.insert(other.clone(), own)),
        }
    }

    /// Whether everybody who is called by this rule is listed the same, so that what the index tells holds for all.
    fn is_same_for_all(&self, rule: &CredentialRule) -> bool {
        let alone = self.without.is_some() && self.organization.is_none() && self.others.is_empty();
        alone && !matches!(rule, CredentialRule::Pinned(_))
    }

    /// The list that decides for a principal: that of the credential with which it is called.
    fn seen_by(&self, principal: &Principal, rule: &CredentialRule) -> Option<&Arc<Listed>> {
        let own = match rule {
            CredentialRule::None => self.without.as_ref(),
            CredentialRule::Pinned(Owner::Organization) => self.organization.as_ref(),
            CredentialRule::Pinned(owner) => self.others.get(owner),
            CredentialRule::Resolve | CredentialRule::ResolveAmong(_) => self
                .resolved(principal, rule)
                .or(self.organization.as_ref())
                .or(self.without.as_ref()),
        };
        own.map(|own| &own.listed)
    }

    /// That of the first owner in the rule's order who has one; the organization's is looked at elsewhere.
    fn resolved(&self, principal: &Principal, rule: &CredentialRule) -> Option<&Own> {
        if self.others.is_empty() {
            return None;
        }
        let owners = rule.owners(principal);
        owners
            .take_while(|owner| *owner != Owner::Organization)
            .find_map(|owner| self.others.get(&owner))
    }

    /// What is listed to anybody.
    fn union(&self, kind: ItemKind) -> HashSet<Arc<str>> {
        let mut seen: HashSet<*const Listed> = HashSet::new();
        let different = self
            .all()
            .filter(|own| seen.insert(Arc::as_ptr(&own.listed)));
        let names = different.filter_map(|own| own.listed.names(kind));
        names.flatten().cloned().collect()
    }
}

/// A server at this place listed some names, and lists others now.
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
