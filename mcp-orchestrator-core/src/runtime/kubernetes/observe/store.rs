//! The state reported by the watches, by instance, with a notification channel for each instance.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::objects::{ObservedDeployment, ObservedPod, PodWarning};
use crate::limits::MAX_WARNED_PODS;

/// Maximum number of warnings kept per pod.
const MAX_WARNINGS: usize = 8;

/// The cluster as reported by the watches.
#[derive(Debug, Default)]
pub(crate) struct Store {
    known: Mutex<Known>,
    /// Which of the two lists that determine an instance's status are complete.
    synced: watch::Sender<Synced>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Synced {
    deployments: bool,
    pods: bool,
}

#[derive(Debug, Default)]
struct Known {
    instances: HashMap<String, Entry>,
    /// The instance of each pod, by pod name.
    pods: HashMap<String, String>,
    warnings: HashMap<String, VecDeque<PodWarning>>,
    /// Containers that existed when this process first listed the pods.
    before: HashSet<String>,
}

#[derive(Debug, Default)]
struct Entry {
    deployment: Option<Arc<ObservedDeployment>>,
    pods: Vec<Arc<ObservedPod>>,
    changes: watch::Sender<()>,
}

/// A snapshot of one instance.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) deployment: Option<Arc<ObservedDeployment>>,
    /// Oldest first.
    pub(crate) pods: Vec<Arc<ObservedPod>>,
    /// Warnings about the newest pod, oldest first.
    pub(crate) warnings: Vec<PodWarning>,
}

impl Store {
    /// Returns a snapshot of an instance.
    pub(crate) fn view(&self, name: &str) -> View {
        let known = self.known.lock();
        let Some(entry) = known.instances.get(name) else {
            return View::default();
        };
        let youngest = entry
            .pods
            .last()
            .and_then(|pod| known.warnings.get(&pod.name));
        View {
            deployment: entry.deployment.clone(),
            pods: entry.pods.clone(),
            warnings: youngest.into_iter().flatten().cloned().collect(),
        }
    }

    /// Subscribes to changes of an instance.
    pub(crate) fn subscribe(&self, name: &str) -> watch::Receiver<()> {
        let mut known = self.known.lock();
        known
            .instances
            .entry(name.to_owned())
            .or_default()
            .changes
            .subscribe()
    }

    /// Waits until the initial lists of Deployments and pods are complete.
    pub(crate) async fn synced(&self) {
        let mut synced = self.synced.subscribe();
        // Never fails: `self` holds the sender.
        let _ = synced
            .wait_for(|synced| synced.deployments && synced.pods)
            .await;
    }

    pub(crate) fn is_synced(&self) -> bool {
        let synced = *self.synced.borrow();
        synced.deployments && synced.pods
    }

    /// Returns `true` if this container existed when this process first listed the pods.
    pub(crate) fn ran_before(&self, container: &str) -> bool {
        self.known.lock().before.contains(container)
    }

    /// Returns the names of all instances that have a Deployment.
    pub(crate) fn deployed(&self) -> HashSet<String> {
        let known = self.known.lock();
        let deployed = known
            .instances
            .iter()
            .filter(|(_, entry)| entry.deployment.is_some());
        deployed.map(|(name, _)| name.clone()).collect()
    }

    /// Updates a Deployment, unless a newer generation is already known.
    pub(crate) fn set_deployment(&self, name: &str, facts: ObservedDeployment) {
        let mut known = self.known.lock();
        let entry = known.instances.entry(name.to_owned()).or_default();
        let older = |before: &Arc<ObservedDeployment>| {
            before.uid == facts.uid && before.generation > facts.generation
        };
        if !entry.deployment.as_ref().is_some_and(older) {
            entry.deployment = Some(Arc::new(facts));
            entry.changes.send_replace(());
        }
    }

    /// Removes a Deployment.
    pub(crate) fn drop_deployment(&self, name: &str) {
        self.change(name, |entry| entry.deployment = None);
    }

    /// Completes a list: removes Deployments that are not in it, and returns their names.
    pub(crate) fn keep_deployments(&self, listed: &HashSet<String>) -> Vec<String> {
        let gone: Vec<String> = self.deployed().difference(listed).cloned().collect();
        for name in &gone {
            self.drop_deployment(name);
        }
        self.synced.send_modify(|synced| synced.deployments = true);
        gone
    }

    /// Updates a pod.
    pub(crate) fn set_pod(&self, facts: ObservedPod) {
        self.known
            .lock()
            .pods
            .insert(facts.name.clone(), facts.instance.clone());
        self.change(&facts.instance.clone(), |entry| {
            let facts = Arc::new(facts);
            match entry.pods.iter_mut().find(|pod| pod.uid == facts.uid) {
                Some(pod) => *pod = facts,
                None => {
                    entry.pods.push(facts);
                    entry.pods.sort_by_key(|pod| pod.since);
                }
            }
        });
    }

    /// Removes a pod. Returns its instance.
    pub(crate) fn drop_pod(&self, name: &str) -> Option<String> {
        let instance = {
            let mut known = self.known.lock();
            known.warnings.remove(name);
            known.pods.remove(name)?
        };
        self.change(&instance, |entry| entry.pods.retain(|pod| pod.name != name));
        Some(instance)
    }

    /// Completes a list: removes pods that are not in it, and returns their instances.
    pub(crate) fn keep_pods(&self, listed: &HashSet<String>) -> Vec<String> {
        let names: Vec<String> = {
            let mut known = self.known.lock();
            if !self.synced.borrow().pods {
                let pods = known.instances.values().flat_map(|entry| &entry.pods);
                known.before = pods.filter_map(|pod| pod.container.id.clone()).collect();
            }
            known.pods.keys().cloned().collect()
        };
        let gone = names.iter().filter(|name| !listed.contains(*name));
        let concerned = gone.filter_map(|name| self.drop_pod(name)).collect();
        self.synced.send_modify(|synced| synced.pods = true);
        concerned
    }

    /// Adds a warning about a pod. Returns the pod's instance, if known.
    pub(crate) fn warn(&self, pod: &str, warning: PodWarning) -> Option<String> {
        let mut known = self.known.lock();
        if known.warnings.len() >= MAX_WARNED_PODS && !known.warnings.contains_key(pod) {
            known.warnings.clear();
        }
        let warnings = known.warnings.entry(pod.to_owned()).or_default();
        warnings
            .retain(|before| before.reason != warning.reason || before.message != warning.message);
        warnings.push_back(warning);
        if warnings.len() > MAX_WARNINGS {
            warnings.pop_front();
        }
        let instance = known.pods.get(pod).cloned()?;
        if let Some(entry) = known.instances.get(&instance) {
            entry.changes.send_replace(());
        }
        Some(instance)
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Entry)) {
        let mut known = self.known.lock();
        let entry = known.instances.entry(name.to_owned()).or_default();
        change(entry);
        entry.changes.send_replace(());
        let empty = entry.deployment.is_none() && entry.pods.is_empty();
        if empty && entry.changes.receiver_count() == 0 {
            known.instances.remove(name);
        }
    }
}
