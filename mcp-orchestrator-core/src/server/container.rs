//! How a program stands in a pod: what a container platform needs to know beyond command, image and environment.
//!
//! All of it is optional; the defaults make a pod that the restricted pod security standard admits. What has a structure
//! of Kubernetes' own (tolerations, affinity, volumes) is kept as JSON: the backend that uses it checks it.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The pod around a program.
#[derive(Clone, Debug, Default)]
pub struct Container {
    /// When the image is pulled; none: as the platform decides by its tag.
    pub pull_policy: Option<PullPolicy>,
    /// With what the image is pulled.
    pub pull_secrets: Vec<PullSecret>,
    /// What it is given of the machine.
    pub resources: Resources,
    /// Environment from objects that stand in the namespace already.
    pub env_from: Vec<EnvFrom>,
    /// Labels that its node must have.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that it tolerates: `core/v1 Toleration`s.
    pub tolerations: Vec<Value>,
    /// Where it would rather run: a `core/v1 Affinity`.
    pub affinity: Option<Value>,
    /// The service account that it runs as. Its token is mounted only where this is given.
    pub service_account: Option<String>,
    /// Volumes beside the writable `/tmp` and home.
    pub volumes: Vec<VolumeEntry>,
    /// What it may do on its node.
    pub security: PodSecurity,
    /// When it counts as started, ready and alive, where the default does not fit.
    pub probes: Probes,
    /// Whether a Service stands before it.
    pub service: bool,
    /// Whether the old instance ends before the new one starts, for a program that must not run twice.
    pub recreate: bool,
    /// The last word on the pod template.
    pub template_patch: Option<TemplatePatch>,
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PullPolicy {
    /// At each start.
    Always,
    /// Where the node does not have it.
    IfNotPresent,
    /// Never: the node has it.
    Never,
}

/// With what an image is pulled.
#[derive(Clone, Debug)]
pub enum PullSecret {
    /// A Secret of the namespace.
    Existing(String),
    /// A Secret that is made from this.
    Registry {
        /// The registry's host, as `ghcr.io`.
        server: String,
        /// Who pulls.
        username: String,
        /// Its password or token.
        password: SecretString,
    },
}

/// What a container asks for and is limited to, by resource name, in Kubernetes' quantities (`250m`, `128Mi`). What is
/// given replaces the default of the same name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// What its node must have left for it.
    pub requests: BTreeMap<String, String>,
    /// What it may not go over.
    pub limits: BTreeMap<String, String>,
}

/// Environment from an object of the namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvFrom {
    /// The object.
    pub source: EnvSource,
    /// What stands before each of its names.
    pub prefix: Option<String>,
    /// Whether the pod starts without it.
    pub optional: bool,
}

/// Where environment comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvSource {
    /// A Secret of this name.
    Secret(String),
    /// A ConfigMap of this name.
    ConfigMap(String),
}

/// A volume and where it is mounted.
#[derive(Clone, Debug, PartialEq)]
pub struct VolumeEntry {
    /// Its name, unique in the server.
    pub name: String,
    /// Where it stands in the container.
    pub mount_path: String,
    /// Whether it cannot be written.
    pub read_only: bool,
    /// What it is: a `core/v1 Volume` without its name, as `{"configMap": {"name": "x"}}`.
    pub source: Value,
}

/// What a container may do on its node. The default is the restricted pod security standard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodSecurity {
    /// The user that it runs as; none: the image's own, which must not be root unless `allow_root`.
    pub run_as_user: Option<i64>,
    /// The group that it runs as, and that its volumes belong to.
    pub run_as_group: Option<i64>,
    /// Whether it may run as root.
    pub allow_root: bool,
    /// Whether it may gain more than it was started with.
    pub allow_privilege_escalation: bool,
    /// Whether its image's files can be written; the default mounts them read-only.
    pub writable_root: bool,
    /// Capabilities that it keeps; all others are dropped.
    pub capabilities: Vec<Capability>,
}

/// The name of a Linux capability, without `CAP_`.
pub type Capability = String;

/// Probes of Kubernetes' own form (`core/v1 Probe`), each in place of the default one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Probes {
    /// Until this succeeds the others wait.
    pub startup: Option<Value>,
    /// While this fails nobody is sent there.
    pub readiness: Option<Value>,
    /// When this fails it is started again.
    pub liveness: Option<Value>,
}

/// The user's last word on the pod template.
#[derive(Clone, Debug, PartialEq)]
pub enum TemplatePatch {
    /// A JSON merge patch (RFC 7396) of the `PodTemplateSpec`.
    Merge(Value),
    /// A JSON patch (RFC 6902): a list of operations.
    Json(Value),
}
