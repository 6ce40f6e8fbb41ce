//! File entries of the cluster in which programs run as pods.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::file::{TextOr, Typed};
use super::file_pod::{RegistryEntry, ResourcesEntry};

/// Where programs run that no `backend` is named for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BackendEntry {
    /// As a process on the gateway's machine.
    Process,
    /// As a pod of a Kubernetes cluster.
    Kubernetes,
}

/// Which cluster, and what holds for all pods. It counts where the backend `kubernetes` is used.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KubernetesEntry {
    /// The kubeconfig file; absent: `KUBECONFIG`, else the cluster in which the gateway runs, else the default file. A
    /// relative one starts at the configuration file's folder.
    pub kubeconfig: Option<Typed>,
    /// The context of the kubeconfig; absent: its current one.
    pub context: Option<Typed>,
    /// The namespace in which all stands; absent: the context's.
    pub namespace: Option<Typed>,
    /// The orchestrator's name: it stands on all objects, and two with different names do not see each other's; absent:
    /// `mcp-orchestrator`.
    pub name: Option<Typed>,
    /// The image in which a `command` without an `image` runs; absent: the project's own, with node, uv, Python and git.
    pub base_image: Option<Typed>,
    /// Labels of the gateway's own pods, from which alone pods may be called; absent: those of the chart. It counts where
    /// the gateway runs in the cluster.
    pub gateway: Option<BTreeMap<String, Typed>>,
    /// What each server has that does not say otherwise.
    pub defaults: Option<PodDefaultsEntry>,
}

/// What each server in a pod has that does not say otherwise.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PodDefaultsEntry {
    /// What it asks of its node, and what it may not go over; of a resource that a server names too, the server's counts.
    pub resources: Option<ResourcesEntry>,
    /// Labels that its node must have, besides the server's own.
    pub node_selector: Option<BTreeMap<String, Typed>>,
    /// Taints that it tolerates, besides the server's own.
    pub tolerations: Option<Vec<Value>>,
    /// With what its image is pulled, besides the server's own.
    pub pull_secrets: Option<Vec<TextOr<RegistryEntry>>>,
    /// Where it may connect to, where the server does not say: `all`, `public`, `none`, or a list of networks.
    pub egress: Option<TextOr<Vec<String>>>,
}
