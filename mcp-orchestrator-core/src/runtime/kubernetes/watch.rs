//! The watches: one for Deployments, one for pods, one for warnings about them. None of them ever polls.
//!
//! Where one is cut, by a restart of the API server, by a 410 or a 429, it begins anew after a pause; what was missed
//! comes with its first list.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event as ClusterEvent, Pod};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Config, Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use super::Shared;
use super::errors::causes;
use super::facts::{DeploymentFacts, PodFacts, Told};
use super::names::selector;

/// The longest pause of a watch that is cut again and again.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The pauses of a watch that is cut again and again.
#[derive(Debug, Default)]
struct Pauses(u32);

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = Duration::from_millis(250 << self.0.min(6)).min(LONGEST_PAUSE);
        self.0 += 1;
        // So that many who were cut at once do not come back at once.
        let random = RandomState::new().hash_one(self.0) as f64 / u64::MAX as f64;
        Some(pause.mul_f64(0.75 + random / 2.0))
    }
}

impl kube::runtime::utils::Backoff for Pauses {
    fn reset(&mut self) {
        self.0 = 0;
    }
}

/// Starts all of them.
pub(super) fn begin(shared: &Arc<Shared>) {
    let own = Config::default().labels(&selector(&shared.options.orchestrator));
    let warnings = Config::default().fields("type=Warning,involvedObject.kind=Pod");
    let (for_deployments, for_pods, for_events) =
        (Arc::clone(shared), Arc::clone(shared), Arc::clone(shared));
    let mut listed = HashSet::new();
    shared.tasks.spawn(follow(
        Arc::clone(shared),
        "deployments",
        own.clone(),
        move |event| {
            deployment(&for_deployments, &mut listed, event);
        },
    ));
    let mut listed = HashSet::new();
    shared
        .tasks
        .spawn(follow(Arc::clone(shared), "pods", own, move |event| {
            pod(&for_pods, &mut listed, event);
        }));
    shared.tasks.spawn(follow(
        Arc::clone(shared),
        "events",
        warnings,
        move |event| {
            warning(&for_events, event);
        },
    ));
}

async fn follow<K>(
    shared: Arc<Shared>,
    what: &'static str,
    config: Config,
    mut take: impl FnMut(Event<K>) + Send,
) where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug
        + Send
        + 'static,
{
    let api: Api<K> = Api::namespaced(shared.access.client().clone(), shared.access.namespace());
    let mut events = pin!(watcher::watcher(api, config).backoff(Pauses::default()));
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = shared.closing.cancelled() => return,
        };
        match event {
            Some(Ok(event)) => {
                shared.set_trouble(what, None);
                take(event);
            }
            Some(Err(error)) => {
                let trouble = format!("watching {what} failed: {}", causes(&error));
                shared.set_trouble(what, Some(trouble));
            }
            None => return,
        }
    }
}

fn deployment(shared: &Arc<Shared>, listed: &mut HashSet<String>, event: Event<Deployment>) {
    let facts = |deployment: &Deployment| DeploymentFacts::new(deployment, &shared.manager);
    match event {
        Event::Init => listed.clear(),
        Event::InitApply(deployment) => {
            if let Some((name, facts)) = facts(&deployment) {
                shared.store.set_deployment(&name, facts);
                listed.insert(name);
            }
        }
        Event::InitDone => {
            let gone = shared.store.keep_deployments(&std::mem::take(listed));
            gone.iter().for_each(|name| shared.look(name));
            shared.look_at_all();
        }
        Event::Apply(deployment) => {
            if let Some((name, facts)) = facts(&deployment) {
                shared.store.set_deployment(&name, facts);
                shared.look(&name);
            }
        }
        Event::Delete(deployment) => {
            if let Some(name) = deployment.metadata.name {
                shared.store.drop_deployment(&name);
                shared.look(&name);
            }
        }
    }
}

fn pod(shared: &Arc<Shared>, listed: &mut HashSet<String>, event: Event<Pod>) {
    match event {
        Event::Init => listed.clear(),
        Event::InitApply(pod) => {
            if let Some(facts) = PodFacts::new(&pod) {
                listed.insert(facts.name.clone());
                shared.store.set_pod(facts);
            }
        }
        Event::InitDone => {
            let concerned = shared.store.keep_pods(&std::mem::take(listed));
            concerned.iter().for_each(|name| shared.look(name));
            shared.look_at_all();
        }
        Event::Apply(pod) => {
            if let Some(facts) = PodFacts::new(&pod) {
                let instance = facts.instance.clone();
                shared.store.set_pod(facts);
                shared.look(&instance);
            }
        }
        Event::Delete(pod) => {
            let name = pod.metadata.name.unwrap_or_default();
            if let Some(instance) = shared.store.drop_pod(&name) {
                shared.look(&instance);
            }
        }
    }
}

fn warning(shared: &Arc<Shared>, event: Event<ClusterEvent>) {
    let (Event::Apply(event) | Event::InitApply(event)) = event else {
        return;
    };
    if let Some((pod, told)) = Told::new(&event)
        && let Some(instance) = shared.store.warn(&pod, told)
    {
        shared.look(&instance);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_begin_anew() {
        use kube::runtime::utils::Backoff as _;
        let mut pauses = Pauses::default();
        let first = pauses.next().unwrap();
        assert!(first < Duration::from_millis(400), "{first:?}");
        let longest = (0..50).filter_map(|_| pauses.next()).max().unwrap();
        assert!(longest <= LONGEST_PAUSE.mul_f64(1.25) && longest > Duration::from_secs(5));
        pauses.reset();
        assert!(pauses.next().unwrap() < Duration::from_millis(400));
    }
}
