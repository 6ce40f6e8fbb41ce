//! File entries of a server's pod: the key `pod` of a server, and the parts of it that can be defaults for all servers.
//!
//! Structures of Kubernetes (tolerations, affinity, volumes, probes, patches) are written as in a manifest; variables
//! in them are not expanded.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::schema::value::{TextOr, Typed};
use crate::server::PullPolicy;

/// Pod settings of a server, for the backend `kubernetes`; other backends ignore them. All keys are optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct PodEntry {
    /// Image pull policy: `Always`, `IfNotPresent` or `Never`. Default: decided by Kubernetes from the image tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<PullPolicyEntry>,
    /// Image pull credentials: names of Secrets in the namespace, or credentials of a registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_secrets: Option<Vec<TextOr<RegistryEntry>>>,
    /// Resource requests and limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourcesEntry>,
    /// Environment variables from Secrets and ConfigMaps of the namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env_from: Option<Vec<EnvFromEntry>>,
    /// Labels that the node must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<BTreeMap<String, Typed>>,
    /// Tolerations, as in a manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerations: Option<Vec<Value>>,
    /// Affinity, as in a manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Value>,
    /// Service account of the pod. Its token is mounted only if this key is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    /// Volumes in addition to the writable `/tmp` and home directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volumes: Option<Vec<VolumeEntryTyped>>,
    /// Security settings. The default is the restricted Pod Security Standard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security: Option<SecurityEntry>,
    /// Probes that replace the default ones, as in a manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probes: Option<ProbesEntry>,
    /// Creates a Service for the pod. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<bool>,
    /// Stops the old instance before a new one starts, for a server that must not run twice. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recreate: Option<bool>,
    /// Patch that is applied last to the pod template: a mapping is a merge patch (RFC 7396), a list a JSON patch (RFC
    /// 6902).
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

/// Image pull policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub enum PullPolicyEntry {
    /// The image is pulled at each start.
    Always,
    /// The image is pulled if the node does not have it.
    IfNotPresent,
    /// The image is never pulled; the node must have it.
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

/// Credentials of a registry. The gateway creates a Secret from them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RegistryEntry {
    /// Host of the registry, for example `ghcr.io`.
    pub server: Typed,
    /// User name.
    pub username: Typed,
    /// Password or token, preferably as `${VARIABLE}`.
    pub password: Typed,
}

/// Resource requests and limits of a container, as Kubernetes quantities. A value replaces the default of the same
/// name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ResourcesEntry {
    /// Resources that the node must have available, for example `{cpu: 50m, memory: 128Mi}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<BTreeMap<String, Typed>>,
    /// Resources that the container must not exceed, for example `{memory: 512Mi}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<BTreeMap<String, Typed>>,
}

/// Environment variables from an object of the namespace: `secret` or `config_map`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct EnvFromEntry {
    /// Name of the Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Name of the ConfigMap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map: Option<String>,
    /// Prefix of the names of its variables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Starts the pod even if the object does not exist. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}

/// A volume and its mount path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "VolumeEntry")]
#[non_exhaustive]
pub struct VolumeEntryTyped {
    /// Name of the volume, unique in the server.
    pub name: String,
    /// Mount path in the container.
    pub mount_path: String,
    /// Mounts the volume read-only. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// Volume source, as in a manifest without the name: `{configMap: {name: x}}`.
    pub source: BTreeMap<String, Value>,
}

/// Security settings of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct SecurityEntry {
    /// User ID that the container runs as. Default: that of the image, which must not be root unless `allow_root` is
    /// set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_user: Option<u32>,
    /// Group ID that the container runs as, and that its volumes belong to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_group: Option<u32>,
    /// Allows the container to run as root. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_root: Option<bool>,
    /// Allows processes to gain more privileges than their parent. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_privilege_escalation: Option<bool>,
    /// Makes the root file system writable. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writable_root: Option<bool>,
    /// Capabilities to keep, for example `NET_BIND_SERVICE`. All others are dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<String>>,
}

/// Probes that replace the default ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ProbesEntry {
    /// Startup probe. The other probes wait until it succeeds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub startup: Option<BTreeMap<String, Value>>,
    /// Readiness probe. No calls are sent to the pod while it fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readiness: Option<BTreeMap<String, Value>>,
    /// Liveness probe. The container is restarted when it fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub liveness: Option<BTreeMap<String, Value>>,
}
