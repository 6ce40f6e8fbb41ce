//! What the backend keeps of cluster objects, instead of the objects themselves.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::SystemTime;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Event, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta, Time};
use serde_json::Value;

use crate::runtime::InstanceKey;
use crate::runtime::kubernetes::names::{
    CONTAINER, FAILURE, INSTANCE, KEY, RESERVED_PREFIXES, VALUES, WANTED,
};

/// A Deployment of this orchestrator.
#[derive(Clone, Debug)]
pub(crate) struct ObservedDeployment {
    pub(crate) uid: String,
    pub(crate) generation: i64,
    pub(crate) key: Option<InstanceKey>,
    pub(crate) replicas: i32,
    pub(crate) deleting: bool,
    pub(crate) wanted: Option<String>,
    pub(crate) values: Option<String>,
    /// The failure for which the instance was scaled to zero.
    pub(crate) failure: Option<String>,
    /// Why the cluster cannot create a pod for the Deployment.
    pub(crate) refused: Option<String>,
    /// Set if another client has changed the Deployment: a hash of that client's changes.
    pub(crate) foreign_changes: Option<u64>,
    /// The UIDs of the Deployment's owners.
    pub(crate) owners: Vec<String>,
}

/// A pod of this orchestrator.
#[derive(Clone, Debug)]
pub(crate) struct ObservedPod {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) instance: String,
    pub(crate) address: Option<String>,
    pub(crate) node: Option<String>,
    pub(crate) since: SystemTime,
    pub(crate) deleting: bool,
    /// The termination grace period, in seconds.
    pub(crate) grace: i64,
    /// The pod has terminated for good, for example because it was evicted.
    pub(crate) terminated: bool,
    /// Why the pod is in this state, such as `Evicted: The node was low on resource: memory`.
    pub(crate) reason: Option<String>,
    /// Why the pod cannot be scheduled.
    pub(crate) unscheduled: Option<String>,
    /// An init container that is stuck.
    pub(crate) before: Option<Waiting>,
    pub(crate) container: Container,
}

/// The container that runs the server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Container {
    /// The ID of the current container; each start of the program has a new one.
    pub(crate) id: Option<String>,
    pub(crate) restarts: i32,
    pub(crate) running: bool,
    pub(crate) ready: bool,
    pub(crate) waiting: Option<Waiting>,
    /// How the container ended, if it is not running.
    pub(crate) ended: Option<Termination>,
    /// How the previous container ended.
    pub(crate) before: Option<Termination>,
}

/// What a container is waiting for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) reason: String,
    pub(crate) message: String,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Termination {
    pub(crate) container: Option<String>,
    pub(crate) code: i32,
    pub(crate) reason: String,
    pub(crate) message: String,
}

/// A warning event about a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodWarning {
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) count: i32,
}

// === impl ObservedDeployment ===

impl ObservedDeployment {
    /// Extracts the name and the facts of a Deployment. `manager` is this orchestrator's field manager.
    pub(crate) fn new(deployment: &Deployment, manager: &str) -> Option<(String, Self)> {
        let meta = &deployment.metadata;
        let annotation = |name: &str| meta.annotations.as_ref()?.get(name).cloned();
        let spec = deployment.spec.as_ref();
        let status = deployment.status.as_ref();
        let generation = meta.generation.unwrap_or_default();
        let seen = status.and_then(|status| status.observed_generation) == Some(generation);
        let conditions = status.and_then(|status| status.conditions.as_ref());
        let refused = conditions.into_iter().flatten().find(|condition| {
            seen && condition.type_ == "ReplicaFailure" && condition.status == "True"
        });
        let facts = Self {
            uid: meta.uid.clone().unwrap_or_default(),
            generation,
            key: annotation(KEY).and_then(|text| InstanceKey::from_text(&text).ok()),
            replicas: spec.and_then(|spec| spec.replicas).unwrap_or(1),
            deleting: meta.deletion_timestamp.is_some(),
            wanted: annotation(WANTED),
            values: annotation(VALUES),
            failure: annotation(FAILURE),
            refused: refused.map(|condition| condition.message.clone().unwrap_or_default()),
            foreign_changes: foreign_changes(meta, manager),
            owners: meta
                .owner_references
                .iter()
                .flatten()
                .map(|reference| reference.uid.clone())
                .collect(),
        };
        Some((meta.name.clone()?, facts))
    }
}

/// Returns a hash of the changes that other clients made to what defines the instance, either in its Deployment or in
/// a dependent object; `None` if there are none.
/// a dependent object; `None` if there are none.
/// Changes to the number of replicas, to status, and to labels and annotations that are not ours do not count, nor do
/// those of the Deployment controller, which writes its own revision annotation.
pub(crate) fn foreign_changes(meta: &ObjectMeta, manager: &str) -> Option<u64> {
    let foreign = |entry: &&ManagedFieldsEntry| {
        let by = entry.manager.as_deref().unwrap_or_default();
        entry.subresource.is_none() && by != manager && by != "kube-controller-manager"
    };
    let mut hash = DefaultHasher::new();
    let mut any = false;
    for entry in meta.managed_fields.iter().flatten().filter(foreign) {
        let Some(fields) = entry.fields_v1.as_ref().map(|fields| &fields.0) else {
            continue;
        };
        if changes_our_fields(fields) {
            any = true;
            entry.manager.hash(&mut hash);
            fields.to_string().hash(&mut hash);
            entry
                .time
                .as_ref()
                .map(|time| time.0.as_second())
                .hash(&mut hash);
        }
    }
    any.then(|| hash.finish())
}

fn changes_our_fields(fields: &Value) -> bool {
    let spec = fields.get("f:spec").and_then(Value::as_object);
    let in_spec = spec.is_some_and(|spec| spec.keys().any(|key| key != "f:replicas" && key != "."));
    let in_meta = ["f:labels", "f:annotations"].into_iter().any(|kind| {
        let names = fields
            .get("f:metadata")
            .and_then(|meta| meta.get(kind)?.as_object());
        names.is_some_and(|names| {
            let ours = |name: &String| {
                RESERVED_PREFIXES
                    .iter()
                    .any(|own| name["f:".len().min(name.len())..].starts_with(own))
            };
            names.keys().any(ours)
        })
    });
    in_spec || in_meta || fields.get("f:data").is_some()
}

// === impl ObservedPod ===

impl ObservedPod {
    pub(crate) fn new(pod: &Pod) -> Option<Self> {
        let meta = &pod.metadata;
        let status = pod.status.as_ref();
        let phase = status.and_then(|status| status.phase.as_deref());
        let reason = status.and_then(|status| status.reason.clone());
        let message = status.and_then(|status| status.message.as_deref());
        let conditions = status.and_then(|status| status.conditions.as_ref());
        let unscheduled = conditions
            .into_iter()
            .flatten()
            .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
        let of = |statuses: Option<&Vec<ContainerStatus>>, name: &str| {
            statuses?.iter().find(|status| status.name == name).cloned()
        };
        let container = of(
            status.and_then(|s| s.container_statuses.as_ref()),
            CONTAINER,
        );
        let first = status.and_then(|status| status.init_container_statuses.as_ref());
        Some(Self {
            name: meta.name.clone()?,
            uid: meta.uid.clone()?,
            instance: meta.labels.as_ref()?.get(INSTANCE)?.clone(),
            address: status.and_then(|status| status.pod_ip.clone()),
            node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
            since: meta
                .creation_timestamp
                .as_ref()
                .map_or(SystemTime::UNIX_EPOCH, time),
            deleting: meta.deletion_timestamp.is_some(),
            // While a pod is being deleted, this is the grace period of its deletion.
            grace: meta
                .deletion_grace_period_seconds
                .or_else(|| pod.spec.as_ref()?.termination_grace_period_seconds)
                .unwrap_or_default(),
            terminated: matches!(phase, Some("Failed" | "Succeeded")),
            reason: reason.map(|reason| match message {
                Some(message) => format!("{reason}: {message}"),
                None => reason,
            }),
            unscheduled: unscheduled.and_then(|condition| condition.message.clone()),
            before: first.into_iter().flatten().find_map(stuck),
            container: container.as_ref().map(Container::new).unwrap_or_default(),
        })
    }
}

/// Returns what an init container waits for, such as its image, if it reports a reason.
fn stuck(status: &ContainerStatus) -> Option<Waiting> {
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting
        .reason
        .clone()
        .filter(|reason| reason != "PodInitializing")?;
    let message = waiting.message.clone().unwrap_or_default();
    Some(Waiting { reason, message })
}

fn time(time: &Time) -> SystemTime {
    SystemTime::from(time.0)
}

// === impl Container ===

impl Container {
    fn new(status: &ContainerStatus) -> Self {
        let state = status.state.clone().unwrap_or_default();
        let before = status.last_state.clone().unwrap_or_default().terminated;
        Self {
            id: status.container_id.clone(),
            restarts: status.restart_count,
            running: state.running.is_some(),
            ready: status.ready,
            waiting: state.waiting.map(|waiting| Waiting {
                reason: waiting.reason.unwrap_or_default(),
                message: waiting.message.unwrap_or_default(),
            }),
            ended: state.terminated.map(Termination::from),
            before: before.map(Termination::from),
        }
    }

    /// Returns how the container with this ID ended, if known.
    pub(crate) fn end_of(&self, id: &str) -> Option<&Termination> {
        let ends = [self.ended.as_ref(), self.before.as_ref()];
        ends.into_iter()
            .flatten()
            .find(|end| end.container.as_deref() == Some(id))
    }
}

impl From<ContainerStateTerminated> for Termination {
    fn from(state: ContainerStateTerminated) -> Self {
        Self {
            container: state.container_id,
            code: state.exit_code,
            reason: state.reason.unwrap_or_default(),
            message: state.message.unwrap_or_default(),
        }
    }
}

// === impl PodWarning ===

impl PodWarning {
    /// Extracts the pod's name and the warning from an Event; `None` unless it is a warning about one of our pods.
    pub(crate) fn new(event: &Event) -> Option<(String, Self)> {
        let about = &event.involved_object;
        let ours =
            about.kind.as_deref() == Some("Pod") && event.type_.as_deref() == Some("Warning");
        let pod = about
            .name
            .clone()
            .filter(|name| ours && name.starts_with("mcp-"))?;
        let told = Self {
            reason: event.reason.clone().unwrap_or_default(),
            message: event.message.clone().unwrap_or_default(),
            count: event.count.unwrap_or(1),
        };
        Some((pod, told))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(by: &str, fields: &Value) -> Deployment {
        serde_json::from_value(json!({
            "metadata": { "name": "mcp-a-1", "generation": 2, "managedFields": [
                { "manager": by, "operation": "Update", "fieldsV1": fields },
            ] },
            "spec": { "replicas": 0, "selector": {}, "template": {} },
        }))
        .unwrap()
    }

    #[test]
    fn edits_by_other_field_managers_are_detected() {
        let foreign_changes = |by: &str, fields: &Value| {
            let (_, facts) = ObservedDeployment::new(&deployment(by, fields), "us").unwrap();
            facts.foreign_changes
        };
        let template = json!({ "f:spec": { "f:template": { "f:spec": {} } } });
        assert!(foreign_changes("kubectl-edit", &template).is_some());
        let other = json!({ "f:spec": { "f:template": { "f:metadata": {} } } });
        assert_ne!(
            foreign_changes("kubectl-edit", &template),
            foreign_changes("kubectl-edit", &other)
        );
        assert_eq!(foreign_changes("us", &template), None);
        assert_eq!(
            foreign_changes("kubectl", &json!({ "f:spec": { "f:replicas": {} } })),
            None
        );
        let label = json!({ "f:metadata": { "f:labels": { "f:mcp-orchestrator.dev/x": {} } } });
        assert!(foreign_changes("kubectl-label", &label).is_some());
        let theirs = json!({ "f:metadata": { "f:labels": { ".": {}, "f:team": {} } } });
        assert_eq!(foreign_changes("kubectl-label", &theirs), None);
    }

    #[test]
    fn replica_failure_counts_only_for_the_observed_generation() {
        let mut seen = deployment("us", &json!({}));
        seen.status = serde_json::from_value(json!({
            "observedGeneration": 1,
            "conditions": [
                { "type": "ReplicaFailure", "status": "True", "message": "exceeded quota" },
            ],
        }))
        .unwrap();
        let refused = |of: &Deployment| ObservedDeployment::new(of, "us").unwrap().1.refused;
        assert_eq!(refused(&seen), None, "that was about the one before");
        seen.status.as_mut().unwrap().observed_generation = Some(2);
        assert_eq!(refused(&seen).as_deref(), Some("exceeded quota"));
    }
}
