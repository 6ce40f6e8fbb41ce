//! The state seen by the watch, from which changes are reported and expired records are found.

use std::collections::HashMap;
use std::time::SystemTime;

use k8s_openapi::api::core::v1::Secret;
use kube::runtime::watcher::Event;
use parking_lot::{Mutex, MutexGuard};

use super::object::Facts;
use crate::credential::StoreChange;
use crate::credential::changes::Changes;

/// Records by the names of their Secrets.
#[derive(Debug, Default)]
pub(super) struct Known {
    records: Mutex<Records>,
    changes: Changes,
}

#[derive(Debug, Default)]
struct Records {
    by_secret: HashMap<String, Facts>,
    /// The records listed so far by a relist in progress.
    listed: HashMap<String, Facts>,
}

/// What a watch event completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// A single change, or a part of a list.
    Part,
    /// A complete list.
    All,
}

impl Known {
    pub(super) fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Applies a watch event and reports the changes it implies.
    pub(super) fn take(&self, event: Event<Secret>, synced: bool) -> Seen {
        let mut records = self.records();
        match event {
            Event::Init => records.listed.clear(),
            Event::InitApply(secret) => {
                if let Some((name, facts)) = named(&secret) {
                    records.listed.insert(name, facts);
                }
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut records.listed);
                let before = std::mem::replace(&mut records.by_secret, listed);
                // Before the first complete list there is no earlier state to compare with.
                if synced {
                    self.compare(&before, &records.by_secret);
                }
                return Seen::All;
            }
            Event::Apply(secret) => match named(&secret) {
                Some((name, facts)) => {
                    let before = records.by_secret.insert(name, facts.clone());
                    if before.is_none_or(|before| before.version != facts.version) {
                        self.changes.tell(StoreChange::Put(facts.key));
                    }
                }
                None => {
                    let name = secret.metadata.name.unwrap_or_default();
                    tracing::warn!(
                        secret = name,
                        "a secret with the labels of a stored record is none"
                    );
                }
            },
            Event::Delete(secret) => {
                let name = secret.metadata.name.unwrap_or_default();
                if let Some(facts) = records.by_secret.remove(&name) {
                    self.changes.tell(StoreChange::Deleted(facts.key));
                }
            }
        }
        Seen::Part
    }

    fn compare(&self, before: &HashMap<String, Facts>, now: &HashMap<String, Facts>) {
        for (name, facts) in now {
            if before
                .get(name)
                .is_none_or(|before| before.version != facts.version)
            {
                self.changes.tell(StoreChange::Put(facts.key.clone()));
            }
        }
        for (name, facts) in before {
            if !now.contains_key(name) {
                self.changes.tell(StoreChange::Deleted(facts.key.clone()));
            }
        }
    }

    /// Returns up to `most` expired records, as the name and version of their Secrets.
    pub(super) fn over(&self, now: SystemTime, most: usize) -> Vec<(String, String)> {
        let records = self.records();
        let over = records
            .by_secret
            .iter()
            .filter(|(_, facts)| facts.is_over(now));
        let named = over.map(|(name, facts)| (name.clone(), facts.version.clone()));
        named.take(most).collect()
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock()
    }
}

fn named(secret: &Secret) -> Option<(String, Facts)> {
    Some((secret.metadata.name.clone()?, Facts::of(secret)?))
}
