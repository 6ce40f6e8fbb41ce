//! The table of resource subscriptions: which caller is subscribed to which resource of which instance.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::catalog::ListKey;
use crate::credential::Credential;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{PrincipalId, ServerId};
use crate::limits::{MAX_SUBSCRIPTIONS, MAX_SUBSCRIPTIONS_PER_PRINCIPAL};
use crate::runtime::{InstanceKey, Scope};
use crate::transport::Party;

/// `Retry-After` of a caller that has too many subscriptions.
const RETRY_AFTER: std::time::Duration = std::time::Duration::from_secs(10);

/// Identifies an instance regardless of its spec, so that an instance that replaces another takes over its
/// subscriptions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::orchestrator) struct Source {
    pub(in crate::orchestrator) lists: ListKey,
    scope: Scope,
}

impl Source {
    /// The instance that calls with this credential reach in this scope.
    pub(super) fn new(server: &ServerId, credential: &Credential, scope: Scope) -> Self {
        Self {
            lists: ListKey::new(server, credential),
            scope,
        }
    }
}

impl From<&InstanceKey> for Source {
    fn from(key: &InstanceKey) -> Self {
        Self {
            lists: ListKey::from(key),
            scope: key.scope().clone(),
        }
    }
}

/// A resource of an instance.
pub(super) type Resource = (Source, Arc<str>);

/// The subscriptions of all callers.
#[derive(Debug, Default)]
pub(in crate::orchestrator) struct Subscriptions {
    table: Mutex<Table>,
    /// Notified when a resource gains its first subscriber or loses its last.
    changes: watch::Sender<()>,
    /// The resources for which modern servers have promised to send updates.
    promised: watch::Sender<HashMap<Source, Vec<String>>>,
}

#[derive(Debug, Default)]
struct Table {
    resources: HashMap<Resource, HashSet<Party>>,
    parties: HashMap<Party, Subscriber>,
    principals: HashMap<PrincipalId, usize>,
    all: usize,
}

#[derive(Debug)]
struct Subscriber {
    principal: PrincipalId,
    resources: HashSet<Resource>,
}

impl Subscriptions {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a receiver that is notified when a resource gains its first subscriber or loses its last.
    pub(in crate::orchestrator) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Records the resources with updates that a server promises to send; `None` clears them.
    pub(in crate::orchestrator) fn promise(&self, source: &Source, uris: Option<Vec<String>>) {
        self.promised.send_modify(|promised| match uris {
            Some(uris) => drop(promised.insert(source.clone(), uris)),
            None => drop(promised.remove(source)),
        });
    }

    /// Waits until a server promises to send the updates of a resource.
    pub(super) async fn promised(&self, source: &Source, uri: &str) {
        let mut promised = self.promised.subscribe();
        let has = |all: &HashMap<Source, Vec<String>>| {
            let own = all.get(source);
            own.is_some_and(|uris| uris.iter().any(|known| known == uri))
        };
        // An error means that the orchestrator ends.
        let _ = promised.wait_for(has).await;
    }

    /// Adds a subscription. Returns `true` if it is the first for this resource.
    pub(super) fn add(
        &self,
        source: Source,
        uri: &str,
        party: Party,
        principal: &PrincipalId,
    ) -> Result<bool> {
        let first = self.lock().add((source, uri.into()), party, principal)?;
        if first {
            self.changes.send_replace(());
        }
        Ok(first)
    }

    /// Removes a subscription. Returns `true` if it was the last for this resource.
    pub(super) fn remove(&self, source: Source, uri: &str, party: Party) -> bool {
        let last = self.lock().remove(&(source, uri.into()), party);
        if last {
            self.changes.send_replace(());
        }
        last
    }

    /// Removes a caller's subscriptions, either those to these lists or all of them. Returns the resources without any
    /// subscriber left.
    pub(super) fn leave(&self, party: Party, lists: Option<&ListKey>) -> Vec<Resource> {
        let gone = {
            let mut table = self.lock();
            let mut left = table.of(party);
            left.retain(|(source, _)| lists.is_none_or(|lists| source.lists == *lists));
            left.retain(|resource| table.remove(resource, party));
            left
        };
        if !gone.is_empty() {
            self.changes.send_replace(());
        }
        gone
    }

    /// Returns the lists that own the resources a caller is subscribed to.
    pub(in crate::orchestrator) fn keys_of(&self, party: Party) -> HashSet<ListKey> {
        let resources = self.lock().of(party);
        resources
            .into_iter()
            .map(|(source, _)| source.lists)
            .collect()
    }

    /// Returns the callers that are subscribed to a resource.
    pub(super) fn parties(&self, source: &Source, uri: &str) -> Vec<Party> {
        let table = self.lock();
        let found = table.resources.get(&(source.clone(), uri.into()));
        found.map_or_else(Vec::new, |parties| parties.iter().copied().collect())
    }

    /// Returns the resources of an instance that have a subscriber, sorted.
    pub(in crate::orchestrator) fn uris(&self, source: &Source) -> Vec<String> {
        let table = self.lock();
        let own = table.resources.keys().filter(|(other, _)| other == source);
        let mut uris: Vec<_> = own.map(|(_, uri)| uri.to_string()).collect();
        uris.sort();
        uris
    }
}

impl Table {
    fn add(&mut self, resource: Resource, party: Party, principal: &PrincipalId) -> Result<bool> {
        let known = self.resources.get(&resource);
        if known.is_some_and(|parties| parties.contains(&party)) {
            return Ok(false);
        }
        let own = self.principals.get(principal).copied().unwrap_or_default();
        if own >= MAX_SUBSCRIPTIONS_PER_PRINCIPAL || self.all >= MAX_SUBSCRIPTIONS {
            return Err(too_many(principal, own));
        }
        self.all += 1;
        self.principals.insert(principal.clone(), own + 1);
        let subscriber = self.parties.entry(party).or_insert_with(|| Subscriber {
            principal: principal.clone(),
            resources: HashSet::new(),
        });
        subscriber.resources.insert(resource.clone());
        let parties = self.resources.entry(resource).or_default();
        parties.insert(party);
        Ok(parties.len() == 1)
    }

    fn remove(&mut self, resource: &Resource, party: Party) -> bool {
        let Some(subscriber) = self.parties.get_mut(&party) else {
            return false;
        };
        if !subscriber.resources.remove(resource) {
            return false;
        }
        self.all -= 1;
        if let Some(own) = self.principals.get_mut(&subscriber.principal) {
            *own -= 1;
            if *own == 0 {
                self.principals.remove(&subscriber.principal);
            }
        }
        if subscriber.resources.is_empty() {
            self.parties.remove(&party);
        }
        let Some(parties) = self.resources.get_mut(resource) else {
            return false;
        };
        parties.remove(&party);
        let last = parties.is_empty();
        if last {
            self.resources.remove(resource);
        }
        last
    }

    fn of(&self, party: Party) -> Vec<Resource> {
        let subscriber = self.parties.get(&party);
        subscriber.map_or_else(Vec::new, |known| known.resources.iter().cloned().collect())
    }
}

fn too_many(principal: &PrincipalId, own: usize) -> Error {
    let text = format!("{principal} is subscribed to {own} resources, the most that are allowed");
    Error::new(ErrorKind::Overloaded, text).with_retry_after(RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(server: &str) -> Source {
        let server = ServerId::new(server).unwrap();
        Source::new(&server, &Credential::none(), Scope::Shared)
    }

    fn who(name: &str) -> PrincipalId {
        PrincipalId::new(name).unwrap()
    }

    #[test]
    fn a_principal_has_so_many_subscriptions_in_all_its_streams() {
        let subscriptions = Subscriptions::default();
        let (ann, bob) = (who("ann"), who("bob"));
        for n in 0..MAX_SUBSCRIPTIONS_PER_PRINCIPAL {
            let party = 1 + n as u64 % 3;
            let uri = format!("x://{n}");
            assert!(subscriptions.add(source("a"), &uri, party, &ann).unwrap());
        }
        let over = subscriptions.add(source("a"), "x://over", 4, &ann);
        assert_eq!(over.unwrap_err().kind(), ErrorKind::Overloaded);
        // Adding an existing subscription counts once, and other principals are not affected.
        assert!(!subscriptions.add(source("a"), "x://0", 1, &ann).unwrap());
        assert!(!subscriptions.add(source("a"), "x://0", 9, &bob).unwrap());
        assert!(subscriptions.remove(source("a"), "x://1", 2));
        assert!(subscriptions.add(source("a"), "x://over", 4, &ann).unwrap());
    }

    #[test]
    fn leaving_removes_all_subscriptions_of_a_party() {
        let subscriptions = Subscriptions::default();
        let (ann, bob) = (who("ann"), who("bob"));
        for (uri, party, who) in [("x://1", 1, &ann), ("x://1", 2, &bob), ("x://2", 1, &ann)] {
            subscriptions.add(source("a"), uri, party, who).unwrap();
        }
        subscriptions.add(source("b"), "x://1", 1, &ann).unwrap();
        let gone = subscriptions.leave(1, Some(&source("b").lists));
        assert_eq!(gone, [(source("b"), "x://1".into())]);
        assert_eq!(subscriptions.uris(&source("a")), ["x://1", "x://2"]);
        let gone = subscriptions.leave(1, None);
        assert_eq!(gone, [(source("a"), "x://2".into())]);
        assert_eq!(subscriptions.parties(&source("a"), "x://1"), [2]);
        assert_eq!(subscriptions.leave(2, None).len(), 1);
        let table = subscriptions.lock();
        assert!(table.resources.is_empty() && table.parties.is_empty());
        assert!(table.principals.is_empty() && table.all == 0);
    }
}
