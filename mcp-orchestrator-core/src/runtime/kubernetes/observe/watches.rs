//! The watches: Deployments, pods, warning events about pods, and the metadata of Secrets and NetworkPolicies.
//! Nothing polls.
//!
//! A watch that is interrupted, by a restart of the API server or by a 410 or 429 response, starts again after a
//! pause; its initial list contains what was missed.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event as ClusterEvent, Pod, Secret};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Config, Event};
use kube::{Api, Resource};

use super::objects::{ObservedDeployment, ObservedPod, PodWarning};
use crate::kubernetes::client::rejection::causes;
use crate::kubernetes::client::watch_backoff::WatchBackoff;
use crate::runtime::kubernetes::kind::Kind;
use crate::runtime::kubernetes::names::selector;
use crate::runtime::kubernetes::shared::Shared;

/// Starts all watches.
pub(crate) fn begin(shared: &Arc<Shared>) {
    let own = || Config::default().labels(&selector(&shared.options.orchestrator));
    let warnings = Config::default().fields("type=Warning,involvedObject.kind=Pod");
    let mut listed = HashSet::new();
    let deployments = watcher::watcher(objects(shared), own());
    follow(shared, "deployments", deployments, move |shared, event| {
        deployment(shared, &mut listed, event);
    });
    let mut listed = HashSet::new();
    let pods = watcher::watcher(objects(shared), own());
    follow(shared, "pods", pods, move |shared, event| {
        pod(shared, &mut listed, event);
    });
    let events = watcher::watcher(objects(shared), warnings);
    follow(shared, "events", events, pod_warning);
    let secrets = watcher::watcher(objects::<PartialObjectMeta<Secret>>(shared), own());
    follow(shared, "secrets", secrets, dependents(Kind::Secret));
    let policies = watcher::watcher(objects::<PartialObjectMeta<NetworkPolicy>>(shared), own());
    follow(
        shared,
        "networkpolicies",
        policies,
        dependents(Kind::NetworkPolicy),
    );
}

fn objects<K>(shared: &Shared) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    Api::namespaced(shared.access.client().clone(), shared.access.namespace())
}

/// Passes the events of a watch to `take` until the backend is closed.
fn follow<E: Send + 'static>(
    shared: &Arc<Shared>,
    what: &'static str,
    events: impl Stream<Item = watcher::Result<Event<E>>> + Send + 'static,
    mut take: impl FnMut(&Arc<Shared>, Event<E>) + Send + 'static,
) {
    let own = Arc::clone(shared);
    shared.tasks.spawn(async move {
        let mut events = pin!(events.backoff(WatchBackoff::default()));
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = own.closing.cancelled() => return,
            };
            match event {
                Some(Ok(event)) => {
                    own.set_trouble(what, None);
                    take(&own, event);
                }
                Some(Err(error)) => {
                    let trouble = format!("watching {what} failed: {}", causes(&error));
                    own.set_trouble(what, Some(trouble));
                }
                None => return,
            }
        }
    });
}

/// Returns a handler for events of a Deployment's dependents.
fn dependents<K>(kind: Kind) -> impl FnMut(&Arc<Shared>, Event<PartialObjectMeta<K>>) {
    let mut listed = HashSet::new();
    move |shared, event| {
        let event = match event {
            Event::Init => Event::Init,
            Event::InitApply(object) => Event::InitApply(object.metadata),
            Event::InitDone => Event::InitDone,
            Event::Apply(object) => Event::Apply(object.metadata),
            Event::Delete(object) => Event::Delete(object.metadata),
        };
        shared.observe_dependent(kind, &mut listed, &event);
    }
}

fn deployment(shared: &Arc<Shared>, listed: &mut HashSet<String>, event: Event<Deployment>) {
    let facts = |deployment: &Deployment| ObservedDeployment::new(deployment, &shared.manager);
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
            for name in gone {
                shared.reconcile(&name);
                shared.handle_vanished(name);
            }
            shared.reconcile_all();
        }
        Event::Apply(deployment) => {
            if let Some((name, facts)) = facts(&deployment) {
                shared.store.set_deployment(&name, facts);
                shared.reconcile(&name);
            }
        }
        Event::Delete(deployment) => {
            if let Some(name) = deployment.metadata.name {
                shared.store.drop_deployment(&name);
                shared.reconcile(&name);
                shared.handle_vanished(name);
            }
        }
    }
}

fn pod(shared: &Arc<Shared>, listed: &mut HashSet<String>, event: Event<Pod>) {
    match event {
        Event::Init => listed.clear(),
        Event::InitApply(pod) => {
            if let Some(facts) = ObservedPod::new(&pod) {
                listed.insert(facts.name.clone());
                shared.store.set_pod(facts);
            }
        }
        Event::InitDone => {
            let concerned = shared.store.keep_pods(&std::mem::take(listed));
            concerned.iter().for_each(|name| shared.reconcile(name));
            shared.reconcile_all();
        }
        Event::Apply(pod) => {
            if let Some(facts) = ObservedPod::new(&pod) {
                let instance = facts.instance.clone();
                shared.store.set_pod(facts);
                shared.reconcile(&instance);
            }
        }
        Event::Delete(pod) => {
            let name = pod.metadata.name.unwrap_or_default();
            if let Some(instance) = shared.store.drop_pod(&name) {
                shared.reconcile(&instance);
            }
        }
    }
}

fn pod_warning(shared: &Arc<Shared>, event: Event<ClusterEvent>) {
    let (Event::Apply(event) | Event::InitApply(event)) = event else {
        return;
    };
    if let Some((pod, warning)) = PodWarning::new(&event)
        && let Some(instance) = shared.store.warn(&pod, warning)
    {
        shared.reconcile(&instance);
    }
}
