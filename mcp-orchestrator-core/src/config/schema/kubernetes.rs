//! File entries of the cluster in which programs run as pods.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::schema::pod::{RegistryEntry, ResourcesEntry};
use crate::config::schema::value::{TextOr, Typed};

/// The name of a backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BackendEntry(pub String);

impl JsonSchema for BackendEntry {
    fn schema_name() -> Cow<'static, str> {
        "BackendEntry".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Where a server runs.",
            "anyOf": [
                { "const": "process", "description": "As a process on the gateway's machine.", "type": "string" },
                { "const": "kubernetes", "description": "As a pod in a Kubernetes cluster.", "type": "string" },
                { "description": "On a backend that the program registers under this name.", "type": "string" },
            ],
        })
    }
}

/// The Kubernetes cluster, and settings for all pods. Used only if servers run in the cluster, or if secrets are stored
/// or read there.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct KubernetesEntry {
    /// The kubeconfig file. A relative path starts at the directory of the configuration file. Default: `KUBECONFIG`,
    /// else the cluster in which the gateway runs, else `~/.kube/config`.
    pub kubeconfig: Option<Typed>,
    /// Context of the kubeconfig. Default: its current context.
    pub context: Option<Typed>,
    /// Namespace of all objects. Default: that of the context, or of the gateway's own pod.
    pub namespace: Option<Typed>,
    /// Name of the orchestrator, set on all objects. Orchestrators with different names do not see each other's
    /// objects. Default: `mcp-orchestrator`.
    pub name: Option<Typed>,
    /// Image for servers with a `command` but no `image`. Default: the project's own, with Node.js, uv, Python and Git.
    pub base_image: Option<Typed>,
    /// Labels of the gateway's own pods; only pods with these labels may connect to server pods. Used only if the
    /// gateway runs in the cluster. Default: the labels that the Helm chart sets.
    pub gateway: Option<BTreeMap<String, Typed>>,
    /// Defaults for the pods of all servers.
    pub defaults: Option<PodDefaultsEntry>,
}

/// Defaults for the pods of all servers.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct PodDefaultsEntry {
    /// Resource requests and limits. A server's own value for a resource takes precedence.
    pub resources: Option<ResourcesEntry>,
    /// Labels that nodes must have, in addition to those that the server requires.
    pub node_selector: Option<BTreeMap<String, Typed>>,
    /// Tolerations, as in a manifest, in addition to the server's own.
    pub tolerations: Option<Vec<Value>>,
    /// Image pull credentials, in addition to the server's own.
    pub pull_secrets: Option<Vec<TextOr<RegistryEntry>>>,
    /// Allowed egress of servers that do not set their own: `all`, `public`, `none`, or a list of networks.
    pub egress: Option<TextOr<Vec<String>>>,
}
