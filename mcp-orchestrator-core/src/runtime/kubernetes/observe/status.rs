//! Derives the status of an instance from its Deployment and pods.

use std::sync::Arc;
use std::time::SystemTime;

use super::diagnose;
use super::diagnose::Verdict;
use super::objects::ObservedPod;
use super::store::View;
use crate::runtime::{InstanceKey, InstanceStatus, Phase};

/// The state of an instance.
#[derive(Clone, Debug)]
pub(crate) enum InstanceState {
    /// Nothing exists.
    Absent,
    /// Stopped, with the reason if it failed.
    Stopped(Option<String>),
    /// Stopping or being deleted; a pod still runs.
    Stopping,
    /// Starting, with what it waits for.
    Waiting(String),
    /// The program runs, and the kubelet has not reported that it accepts connections.
    Opening(Arc<ObservedPod>),
    /// Accepts connections.
    Ready(Arc<ObservedPod>),
    /// Cannot run; waiting does not help.
    Failed(Failure),
}

/// What a start waits for while the program runs.
pub(crate) const OPENING: &str = "waiting for the server to accept connections";

/// Why an instance cannot run.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) reason: String,
    /// The pod of a program that has ended; its log may explain why.
    pub(crate) crashed: Option<Arc<ObservedPod>>,
}

/// Derives the state from a view of the instance.
pub(crate) fn state_of(view: &View) -> InstanceState {
    let live = || view.pods.iter().rev().filter(|pod| !pod.terminated);
    let Some(deployment) = &view.deployment else {
        return if live().next().is_some() {
            InstanceState::Stopping
        } else {
            InstanceState::Absent
        };
    };
    if deployment.deleting {
        return InstanceState::Stopping;
    }
    if deployment.replicas == 0 {
        return match live().next() {
            Some(_) => InstanceState::Stopping,
            None => InstanceState::Stopped(deployment.failure.clone()),
        };
    }
    let Some(pod) = live().find(|pod| !pod.deleting) else {
        return match &deployment.refused {
            Some(message) => verdict(diagnose::refused(message), None),
            None if view.pods.is_empty() => InstanceState::Waiting("creating the pod".to_owned()),
            None => InstanceState::Waiting("waiting for another pod to take its place".to_owned()),
        };
    };
    of_pod(view, pod)
}

fn of_pod(view: &View, pod: &Arc<ObservedPod>) -> InstanceState {
    let container = &pod.container;
    if container.running && container.ready {
        return InstanceState::Ready(Arc::clone(pod));
    }
    if container.running {
        return InstanceState::Opening(Arc::clone(pod));
    }
    if let Some(end) = &container.ended {
        return verdict(diagnose::crashed(end), Some(pod));
    }
    if let Some(message) = &pod.unscheduled {
        return InstanceState::Waiting(diagnose::unscheduled(message));
    }
    if let Some(waiting) = &pod.before {
        return verdict(diagnose::waiting(waiting, &view.warnings), None);
    }
    match (&container.waiting, &container.before) {
        (Some(waiting), Some(end)) if waiting.reason == "CrashLoopBackOff" => {
            verdict(diagnose::crashed(end), Some(pod))
        }
        (Some(waiting), _) => verdict(diagnose::waiting(waiting, &view.warnings), None),
        (None, _) => InstanceState::Waiting("waiting for a node to take the pod".to_owned()),
    }
}

fn verdict(verdict: Verdict, crashed: Option<&Arc<ObservedPod>>) -> InstanceState {
    match verdict {
        Verdict::Wait(reason) => InstanceState::Waiting(reason),
        Verdict::Fail(reason) => InstanceState::Failed(Failure {
            reason,
            crashed: crashed.cloned(),
        }),
    }
}

/// Returns the status for watchers; `None` if the instance is absent or about to end.
pub(crate) fn status(
    key: &InstanceKey,
    view: &View,
    state: &InstanceState,
) -> Option<InstanceStatus> {
    let (phase, reason) = match state {
        InstanceState::Absent | InstanceState::Stopping => return None,
        InstanceState::Stopped(None) => (Phase::Resting, None),
        InstanceState::Stopped(Some(failure)) => (Phase::Failed, Some(failure.clone())),
        InstanceState::Waiting(reason) => (Phase::Starting, Some(reason.clone())),
        InstanceState::Opening(_) => (Phase::Starting, Some(OPENING.to_owned())),
        InstanceState::Ready(_) => (Phase::Running, None),
        InstanceState::Failed(failure) => (Phase::Failed, Some(failure.reason.clone())),
    };
    let mut place = Vec::new();
    let pod = view.pods.last().filter(|_| phase != Phase::Resting);
    if let Some(pod) = pod {
        place.push(("pod", pod.name.clone()));
        place.extend(pod.node.clone().map(|node| ("node", node)));
        if pod.container.restarts > 0 {
            place.push(("restarts", pod.container.restarts.to_string()));
        }
    }
    Some(InstanceStatus {
        key: key.clone(),
        phase,
        reason,
        since: SystemTime::now(),
        place,
    })
}
