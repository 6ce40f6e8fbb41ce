//! Pod settings of a program: what a container platform needs in addition to command, image and environment.
//!
//! All settings are optional; the defaults yield a pod that the restricted Pod Security Standard admits. Structures
//! defined by Kubernetes (tolerations, affinity, volumes) are kept as JSON and validated by the backend that uses
//! them.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The pod of a program.
#[derive(Clone, Debug, Default)]
pub struct Container {
    /// The image pull policy. `None`: Kubernetes decides by the tag.
    pub pull_policy: Option<PullPolicy>,
    /// The Secrets used to pull the image.
    pub pull_secrets: Vec<PullSecret>,
    /// Resource requests and limits.
    pub resources: Resources,
    /// Environment variables from existing objects in the namespace.
    pub env_from: Vec<EnvFrom>,
    /// Labels that the node must have.
    pub node_selector: BTreeMap<String, String>,
    /// Tolerations, as `core/v1 Toleration` objects.
    pub tolerations: Vec<Value>,
    /// Scheduling preferences, as a `core/v1 Affinity`.
    pub affinity: Option<Value>,
    /// The service account. Its token is mounted only if this is set.
    pub service_account: Option<String>,
    /// Volumes in addition to the writable `/tmp` and home directory.
    pub volumes: Vec<VolumeEntry>,
    /// The security context.
    pub security: PodSecurity,
    /// Probes that replace the default ones.
    pub probes: Probes,
    /// Creates a Service for the pod if `true`.
    pub service: bool,
    /// Stops the old instance before the new one starts, for programs that must not run twice.
    pub recreate: bool,
    /// A patch that is applied last to the pod template.
    pub template_patch: Option<TemplatePatch>,
}

/// An image pull policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PullPolicy {
    /// Pull at each start.
    Always,
    /// Pull if the image is not present on the node.
    IfNotPresent,
    /// Never pull: the image must be present on the node.
    Never,
}

/// Registry credentials for pulling an image.
#[derive(Clone, Debug)]
pub enum PullSecret {
    /// An existing Secret in the namespace.
    Existing(String),
    /// Credentials from which a Secret is created.
    Registry {
        /// The registry's host, such as `ghcr.io`.
        server: String,
        /// The user name at the registry.
        username: String,
        /// The password or token.
        password: SecretString,
    },
}

/// Resource requests and limits of a container by resource name, as Kubernetes quantities (`250m`, `128Mi`). An entry
/// replaces the default for the same resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Resources that the node must have available.
    pub requests: BTreeMap<String, String>,
    /// Maximum resource usage.
    pub limits: BTreeMap<String, String>,
}

/// Environment variables from an object in the namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvFrom {
    /// The object that holds the variables.
    pub source: EnvSource,
    /// Prefix for the names of the variables.
    pub prefix: Option<String>,
    /// If `true`, the pod starts even if the object does not exist.
    pub optional: bool,
}

/// A source of environment variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvSource {
    /// The Secret with this name.
    Secret(String),
    /// The ConfigMap with this name.
    ConfigMap(String),
}

/// A volume and where it is mounted.
#[derive(Clone, Debug, PartialEq)]
pub struct VolumeEntry {
    /// The volume's name, unique within the server.
    pub name: String,
    /// The mount path in the container.
    pub mount_path: String,
    /// Mounts the volume read-only.
    pub read_only: bool,
    /// The source: a `core/v1 Volume` without its name, such as `{"configMap": {"name": "x"}}`.
    pub source: Value,
}

/// Security settings of a pod. The default is the restricted Pod Security Standard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodSecurity {
    /// The user ID. `None`: the image's user, which must not be root unless `allow_root` is set.
    pub run_as_user: Option<i64>,
    /// The group ID of the process and of its volumes.
    pub run_as_group: Option<i64>,
    /// Allows the container to run as root.
    pub allow_root: bool,
    /// Allows processes to gain more privileges than their parent.
    pub allow_privilege_escalation: bool,
    /// Makes the root file system writable. Default: read-only.
    pub writable_root: bool,
    /// Capabilities to keep; all others are dropped.
    pub capabilities: Vec<Capability>,
}

/// The name of a Linux capability, without `CAP_`.
pub type Capability = String;

/// Probes (`core/v1 Probe`), each replacing the default one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Probes {
    /// The startup probe; the other probes begin after it has succeeded.
    pub startup: Option<Value>,
    /// The readiness probe; while it fails, the pod receives no traffic.
    pub readiness: Option<Value>,
    /// The liveness probe; when it fails, the container is restarted.
    pub liveness: Option<Value>,
}

/// A patch of the pod template.
#[derive(Clone, Debug, PartialEq)]
pub enum TemplatePatch {
    /// A JSON merge patch (RFC 7396) of the `PodTemplateSpec`.
    Merge(Value),
    /// A JSON patch (RFC 6902): a list of operations.
    Json(Value),
}
