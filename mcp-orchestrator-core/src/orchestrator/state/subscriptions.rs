//! The table of resource subscriptions: which caller wants which resource of which instance.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::upstream_subscriptions::SubscriptionTasks;
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
pub(crate) struct Source {
    pub(crate) lists: ListKey,
    pub(crate) scope: Scope,
}

impl Source {
    /// The instance that calls with this credential reach in this scope.
    pub(crate) fn new(server: &ServerId, credential: &Credential, scope: Scope) -> Self {
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
pub(crate) type Resource = (Source, Arc<str>);

/// The connection on which a server holds a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    /// The one that all callers share: a pipe, or the engine's own session.
    Engine,
    /// The caller's own session with an HTTP server.
    Own,
}

/// The subscriptions of all callers.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    table: Mutex<Table>,
    /// Notified at each change of the table.
    changes: watch::Sender<()>,
    /// The resources for which modern servers have promised to send updates.
    promised: watch::Sender<HashMap<Source, Vec<String>>>,
    /// What legacy instances are subscribed to.
    pub(crate) keepers: SubscriptionTasks,
}

#[derive(Debug, Default)]
struct Table {
    sources: HashMap<Source, HashMap<Arc<str>, HashMap<Party, Via>>>,
    parties: HashMap<Party, Subscriber>,
    principals: HashMap<PrincipalId, usize>,
    all: usize,
}

#[derive(Debug)]
struct Subscriber {
    principal: PrincipalId,
    resources: HashSet<Resource>,
    /// Resources that the caller still wants, but has no right to now.
    parked: HashSet<Arc<str>>,
}

impl Subscriptions {
    /// Changes the table, and notifies of the change.
    fn change<T>(&self, change: impl FnOnce(&mut Table) -> T) -> T {
        let changed = change(&mut self.table.lock());
        self.changes.send_replace(());
        changed
    }

    /// Returns a receiver that is notified at each change.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Records the resources with updates that a server promises to send; `None` clears them.
    pub(crate) fn promise(&self, source: &Source, uris: Option<Vec<String>>) {
        self.promised.send_modify(|promised| match uris {
            Some(uris) => drop(promised.insert(source.clone(), uris)),
            None => drop(promised.remove(source)),
        });
    }

    /// Waits until a server promises to send the updates of a resource.
    pub(crate) async fn promised(&self, source: &Source, uri: &str) {
        let mut promised = self.promised.subscribe();
        let has = |all: &HashMap<Source, Vec<String>>| {
            let own = all.get(source);
            own.is_some_and(|uris| uris.iter().any(|known| known == uri))
        };
        // An error means that the orchestrator ends.
        let _ = promised.wait_for(has).await;
    }

    /// Adds a subscription.
    ///
    /// # Errors
    /// [`Overloaded`](ErrorKind::Overloaded) at the limit of the principal, or of all together.
    pub(crate) fn add(
        &self,
        resource: &Resource,
        party: Party,
        via: Via,
        principal: &PrincipalId,
    ) -> Result<()> {
        self.change(|table| table.add(resource, party, via, principal))
    }

    /// Removes a subscription.
    pub(crate) fn remove(&self, resource: &Resource, party: Party) {
        self.change(|table| {
            if table.detach(resource, party).is_some() {
                table.forget(party);
            }
        });
    }

    /// Removes a caller's subscriptions to a resource, at whichever instance of the server, or of any. Returns the instances, or `None` if
    /// there was no subscription.
    pub(crate) fn remove_uri(
        &self,
        party: Party,
        uri: &str,
        at: Option<&ServerId>,
    ) -> Option<Vec<(Resource, Via)>> {
        self.change(|table| {
            let mut own = table.of(party);
            own.retain(|((source, known), _)| {
                **known == *uri && at.is_none_or(|at| at == source.lists.server())
            });
            for (resource, _) in &own {
                table.detach(resource, party);
                table.forget(party);
            }
            let subscriber = table.parties.get_mut(&party);
            let was_parked = subscriber.is_some_and(|own| own.parked.remove(uri));
            if was_parked {
                table.forget(party);
            }
            (was_parked || !own.is_empty()).then_some(own)
        })
    }

    /// Removes all subscriptions of a caller.
    pub(crate) fn leave(&self, party: Party) {
        if self.table.lock().parties.contains_key(&party) {
            self.change(|table| table.leave(party));
        }
    }

    /// Moves a subscription to another instance, or parks it: the caller lost the right to the one before.
    pub(crate) fn moves(&self, party: Party, resource: &Resource, to: Option<Source>) {
        self.change(|table| {
            if table.detach(resource, party).is_some() {
                table.attach(party, &resource.1, to);
            }
        });
    }

    /// Resumes a parked subscription at this instance.
    pub(crate) fn resume(&self, party: Party, uri: &Arc<str>, at: Source) {
        self.change(|table| {
            let subscriber = table.parties.get_mut(&party);
            if subscriber.is_some_and(|own| own.parked.remove(uri)) {
                table.attach(party, uri, Some(at));
            }
        });
    }

    /// Returns the subscriptions of a caller.
    pub(crate) fn of(&self, party: Party) -> Vec<(Resource, Via)> {
        self.table.lock().of(party)
    }

    /// Returns the parked subscriptions of a caller.
    pub(crate) fn parked(&self, party: Party) -> Vec<Arc<str>> {
        let table = self.table.lock();
        let subscriber = table.parties.get(&party);
        subscriber.map_or_else(Vec::new, |own| own.parked.iter().cloned().collect())
    }

    /// Returns `true` if any subscription is parked.
    pub(crate) fn has_parked(&self) -> bool {
        let table = self.table.lock();
        table.parties.values().any(|own| !own.parked.is_empty())
    }

    /// Returns `true` if the caller has this subscription.
    pub(crate) fn has(&self, resource: &Resource, party: Party) -> bool {
        let table = self.table.lock();
        let subscriber = table.parties.get(&party);
        subscriber.is_some_and(|own| own.resources.contains(resource))
    }

    /// Returns the callers that share a subscription to a resource.
    pub(crate) fn parties(&self, source: &Source, uri: &str) -> Vec<Party> {
        let table = self.table.lock();
        let found = table.sources.get(source).and_then(|uris| uris.get(uri));
        found.map_or_else(Vec::new, sharing)
    }

    /// Returns the resources of an instance with the callers that share a subscription to each.
    pub(crate) fn shared_at(&self, source: &Source) -> Vec<(Arc<str>, Vec<Party>)> {
        let table = self.table.lock();
        let uris = table.sources.get(source).into_iter().flatten();
        uris.map(|(uri, parties)| (Arc::clone(uri), sharing(parties)))
            .collect()
    }
}

fn sharing(parties: &HashMap<Party, Via>) -> Vec<Party> {
    let sharing = parties.iter().filter(|(_, via)| **via == Via::Engine);
    sharing.map(|(party, _)| *party).collect()
}

impl Table {
    fn add(
        &mut self,
        resource: &Resource,
        party: Party,
        via: Via,
        principal: &PrincipalId,
    ) -> Result<()> {
        let (source, uri) = resource;
        let known = self.sources.get(source).and_then(|uris| uris.get(uri));
        if known.is_some_and(|parties| parties.contains_key(&party)) {
            return Ok(());
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
            parked: HashSet::new(),
        });
        subscriber.resources.insert(resource.clone());
        let uris = self.sources.entry(source.clone()).or_default();
        uris.entry(Arc::clone(uri)).or_default().insert(party, via);
        Ok(())
    }

    /// Removes a subscription, which still counts. Returns `None` if it does not exist.
    fn detach(&mut self, resource: &Resource, party: Party) -> Option<Via> {
        let (source, uri) = resource;
        let subscriber = self.parties.get_mut(&party)?;
        subscriber.resources.remove(resource);
        let uris = self.sources.get_mut(source)?;
        let parties = uris.get_mut(uri)?;
        let via = parties.remove(&party);
        if parties.is_empty() {
            uris.remove(uri);
        }
        if uris.is_empty() {
            self.sources.remove(source);
        }
        via
    }

    /// Adds a subscription that counts already, or parks it.
    fn attach(&mut self, party: Party, uri: &Arc<str>, at: Option<Source>) {
        let Some(subscriber) = self.parties.get_mut(&party) else {
            return;
        };
        let is_new = match &at {
            Some(source) => subscriber
                .resources
                .insert((source.clone(), Arc::clone(uri))),
            None => subscriber.parked.insert(Arc::clone(uri)),
        };
        if !is_new {
            return self.forget(party);
        }
        if let Some(source) = at {
            let uris = self.sources.entry(source).or_default();
            let parties = uris.entry(Arc::clone(uri)).or_default();
            parties.insert(party, Via::Engine);
        }
    }

    /// Stops counting one subscription of a caller.
    fn forget(&mut self, party: Party) {
        let Some(subscriber) = self.parties.get(&party) else {
            return;
        };
        self.all -= 1;
        if let Some(own) = self.principals.get_mut(&subscriber.principal) {
            *own -= 1;
            if *own == 0 {
                self.principals.remove(&subscriber.principal);
            }
        }
        if subscriber.resources.is_empty() && subscriber.parked.is_empty() {
            self.parties.remove(&party);
        }
    }

    fn leave(&mut self, party: Party) {
        for (resource, _) in self.of(party) {
            self.detach(&resource, party);
            self.forget(party);
        }
        let subscriber = self.parties.get_mut(&party);
        let parked = subscriber.map(|own| std::mem::take(&mut own.parked));
        for _ in parked.into_iter().flatten() {
            self.forget(party);
        }
    }

    fn of(&self, party: Party) -> Vec<(Resource, Via)> {
        let subscriber = self.parties.get(&party).into_iter();
        let resources = subscriber.flat_map(|own| &own.resources);
        let with_via = |resource: &Resource| {
            let parties = self.sources.get(&resource.0)?.get(&resource.1)?;
            Some((resource.clone(), *parties.get(&party)?))
        };
        resources.filter_map(with_via).collect()
    }
}

fn too_many(principal: &PrincipalId, own: usize) -> Error {
    let text = format!("{principal} is subscribed to {own} resources, the most that are allowed");
    Error::new(ErrorKind::Overloaded, text).with_retry_after(RETRY_AFTER)
}

#[cfg(test)]
mod tests;
