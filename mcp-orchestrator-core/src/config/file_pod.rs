//! File entries of a server's pod: the key `pod` of a server, and the parts of it that can be defaults for all servers.
//!
//! Structures of Kubernetes (tolerations, affinity, volumes, probes, patches) are written as in a manifest; variables
//! in them are not expanded.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::file::{TextOr, Typed};
use crate::server::PullPolicy;

/// How a server stands in a pod, for the backend `kubernetes`; others pass it over. All of it is optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PodEntry {
    /// When the image is pulled: `Always`, `IfNotPresent` or `Never`; absent: as Kubernetes decides by its tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<PullPolicyEntry>,
    /// With what the image is pulled: names of Secrets of the namespace, or credentials of a registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_secrets: Option<Vec<TextOr<RegistryEntry>>>,
    /// What it asks of its node, and what it may not go over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourcesEntry>,
    /// Environment from Secrets and ConfigMaps of the namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env_from: Option<Vec<EnvFromEntry>>,
    /// Labels that its node must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<BTreeMap<String, Typed>>,
    /// Taints that it tolerates, as in a manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerations: Option<Vec<Value>>,
    /// Where it would rather run, as in a manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Value>,
    /// The service account that it runs as; its token is mounted only where this is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    /// Volumes beside the writable `/tmp` and home.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volumes: Option<Vec<VolumeEntryTyped>>,
    /// What it may do on its node; the default is the restricted pod security standard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security: Option<SecurityEntry>,
    /// Probes in place of the default ones, as in a manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probes: Option<ProbesEntry>,
    /// Whether a Service stands before it; absent: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<bool>,
    /// Whether the old instance ends before a new one starts, for a server that must not run twice; absent: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recreate: Option<bool>,
    /// The last word on the pod template: a mapping is a merge patch (RFC 7396), a list a JSON patch (RFC 6902).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<PatchSchema>")]
    pub template_patch: Option<Value>,
}

/// A mapping or a list.
#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
#[expect(dead_code, reason = "it stands for its schema alone")]
enum PatchSchema {
    /// A merge patch.
    Merge(BTreeMap<String, Value>),
    /// A JSON patch.
    Json(Vec<BTreeMap<String, Value>>),
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PullPolicyEntry {
    /// At each start.
    Always,
    /// Where the node does not have it.
    IfNotPresent,
    /// Never: the node has it.
    Never,
}

impl From<PullPolicyEntry> for PullPolicy {
    fn from(entry: PullPolicyEntry) -> Self {
        match entry {
            PullPolicyEntry::Always => Self::Always,
            PullPolicyEntry::IfNotPresent => Self::IfNotPresent,
            PullPolicyEntry::Never => Self::Never,
        }
    }
}

/// Credentials of a registry, out of which a Secret is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistryEntry {
    /// The registry's host, as `ghcr.io`.
    pub server: Typed,
    /// Who pulls.
    pub username: Typed,
    /// The password or token, best as `${VARIABLE}`.
    pub password: Typed,
}

/// What a container asks for and is limited to, in Kubernetes' quantities. What is given replaces the default of the
/// same name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResourcesEntry {
    /// What its node must have left for it, as `{cpu: 50m, memory: 128Mi}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<BTreeMap<String, Typed>>,
    /// What it may not go over, as `{memory: 512Mi}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<BTreeMap<String, Typed>>,
}

/// Environment from an object of the namespace: `secret` or `config_map`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EnvFromEntry {
    /// The Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// The ConfigMap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map: Option<String>,
    /// What stands before each of its names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Whether the pod starts without the object; absent: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}

/// A volume, and where it is mounted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "VolumeEntry")]
pub struct VolumeEntryTyped {
    /// Its name, unique in the server.
    pub name: String,
    /// Where it stands in the container.
    pub mount_path: String,
    /// Whether it cannot be written; absent: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// What it is, as in a manifest, without the name: `{configMap: {name: x}}`.
    pub source: BTreeMap<String, Value>,
}

/// What a container may do on its node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SecurityEntry {
    /// The user that it runs as; absent: the image's own, which must not be root unless `allow_root`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_user: Option<u32>,
    /// The group that it runs as, and that its volumes belong to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_group: Option<u32>,
    /// Whether it may run as root; absent: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_root: Option<bool>,
    /// Whether it may gain more than it was started with; absent: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_privilege_escalation: Option<bool>,
    /// Whether its image's files can be written; absent: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writable_root: Option<bool>,
    /// Capabilities that it keeps, as `NET_BIND_SERVICE`; all others are dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<String>>,
}

/// Probes in place of the default ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProbesEntry {
    /// Until this succeeds the others wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub startup: Option<BTreeMap<String, Value>>,
    /// While this fails nobody is sent there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readiness: Option<BTreeMap<String, Value>>,
    /// When this fails it is started again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub liveness: Option<BTreeMap<String, Value>>,
}
