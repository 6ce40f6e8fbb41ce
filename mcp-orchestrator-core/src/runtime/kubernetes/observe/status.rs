//! Derives the status of an instance from its Deployment and pods.

use std::sync::Arc;
use std::time::SystemTime;

use super::diagnose::{self, Verdict};
use super::objects::PodFacts;
use super::store::View;
use crate::runtime::{InstanceKey, InstanceStatus, Phase};

/// The state of an instance.
#[derive(Clone, Debug)]
pub(crate) enum Standing {
    /// Nothing exists.
    Absent,
    /// Stopped, with the reason if it failed.
    Resting(Option<String>),
    /// Stopping or being deleted; a pod still runs.
    Ending,
    /// Starting, with what it waits for.
    Waiting(String),
    /// Accepts connections.
    Ready(Arc<PodFacts>),
    /// Cannot run; waiting does not help.
    Failed(Failure),
}

/// Why an instance cannot run.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) reason: String,
    /// The pod of a program that has ended; its log may explain why.
    pub(crate) crashed: Option<Arc<PodFacts>>,
}

/// Derives the state from a view of the instance.
pub(crate) fn judge(view: &View) -> Standing {
    let live = || view.pods.iter().rev().filter(|pod| !pod.over);
    let Some(deployment) = &view.deployment else {
        return if live().next().is_some() {
            Standing::Ending
        } else {
            Standing::Absent
        };
    };
    if deployment.deleting {
        return Standing::Ending;
    }
    if deployment.replicas == 0 {
        return match live().next() {
            Some(_) => Standing::Ending,
            None => Standing::Resting(deployment.failure.clone()),
        };
    }
    let Some(pod) = live().find(|pod| !pod.deleting) else {
        return match &deployment.refused {
            Some(message) => verdict(diagnose::refused(message), None),
            None if view.pods.is_empty() => Standing::Waiting("creating the pod".to_owned()),
            None => Standing::Waiting("waiting for another pod to take its place".to_owned()),
        };
    };
    of_pod(view, pod)
}

fn of_pod(view: &View, pod: &Arc<PodFacts>) -> Standing {
    let container = &pod.container;
    if container.running && container.ready {
        return Standing::Ready(Arc::clone(pod));
    }
    if container.running {
        return Standing::Waiting("waiting for the server to accept connections".to_owned());
    }
    if let Some(end) = &container.ended {
        return verdict(diagnose::crashed(end), Some(pod));
    }
    if let Some(message) = &pod.unscheduled {
        return Standing::Waiting(diagnose::unscheduled(message));
    }
    if let Some(waiting) = &pod.before {
        return verdict(diagnose::waiting(waiting, &view.warnings), None);
    }
    match (&container.waiting, &container.before) {
        (Some(waiting), Some(end)) if waiting.reason == "CrashLoopBackOff" => {
            verdict(diagnose::crashed(end), Some(pod))
        }
        (Some(waiting), _) => verdict(diagnose::waiting(waiting, &view.warnings), None),
        (None, _) => Standing::Waiting("waiting for a node to take the pod".to_owned()),
    }
}

fn verdict(verdict: Verdict, crashed: Option<&Arc<PodFacts>>) -> Standing {
    match verdict {
        Verdict::Wait(reason) => Standing::Waiting(reason),
        Verdict::Fail(reason) => Standing::Failed(Failure {
            reason,
            crashed: crashed.cloned(),
        }),
    }
}

/// Returns the status for watchers; `None` if the instance is absent or about to end.
pub(crate) fn status(
    key: &InstanceKey,
    view: &View,
    standing: &Standing,
) -> Option<InstanceStatus> {
    let (phase, reason) = match standing {
        Standing::Absent | Standing::Ending => return None,
        Standing::Resting(None) => (Phase::Resting, None),
        Standing::Resting(Some(failure)) => (Phase::Failed, Some(failure.clone())),
        Standing::Waiting(reason) => (Phase::Starting, Some(reason.clone())),
        Standing::Ready(_) => (Phase::Running, None),
        Standing::Failed(failure) => (Phase::Failed, Some(failure.reason.clone())),
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
