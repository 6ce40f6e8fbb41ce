//! What objects are called, and what stands on them so that they are found and told apart.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::options::KubernetesOptions;
use crate::runtime::InstanceKey;
use crate::seal::hex;

/// Who owns the fields that we write.
pub(crate) const MANAGER: &str = "mcp-orchestrator";
/// The one container that runs the server.
pub(super) const CONTAINER: &str = "server";

/// Label: the orchestrator whose instance it is.
pub(crate) const ORCHESTRATOR: &str = "mcp-orchestrator.dev/orchestrator";
/// Label: the instance's name, on its objects and its pods. It selects the pods.
pub(super) const INSTANCE: &str = "app.kubernetes.io/instance";
/// Label: what kind of thing it is; `mcp-server` for instances.
pub(crate) const COMPONENT: &str = "app.kubernetes.io/component";
/// The value of [`COMPONENT`] on all that belongs to an instance.
pub(super) const MCP_SERVER: &str = "mcp-server";

/// Annotation: the full key.
pub(super) const KEY: &str = "mcp-orchestrator.dev/key";
/// Annotation: what was wanted when the objects were written.
pub(super) const WANTED: &str = "mcp-orchestrator.dev/wanted";
/// Annotation: a keyed hash of the values in the Secret.
pub(super) const VALUES: &str = "mcp-orchestrator.dev/values";
/// Annotation: why an instance that rests has ended, where it failed.
pub(super) const FAILURE: &str = "mcp-orchestrator.dev/failure";

/// Changes where the objects of an equal spec become others: those from before are written anew when they are woken.
const FORM: &str = "2";

/// What begins the names that no one but us may set on an object.
pub(super) const OURS: [&str; 2] = ["mcp-orchestrator.dev/", "app.kubernetes.io/"];

/// The labels of all objects of one instance, and of its pods.
pub(super) fn labels(key: &InstanceKey, orchestrator: &str) -> BTreeMap<String, String> {
    [
        ("app.kubernetes.io/name", key.server().as_str()),
        (INSTANCE, key.name()),
        ("app.kubernetes.io/managed-by", MANAGER),
        (COMPONENT, MCP_SERVER),
        (ORCHESTRATOR, orchestrator),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

/// The labels of what an orchestrator has besides instances.
pub(crate) fn component_labels(orchestrator: &str, component: &str) -> BTreeMap<String, String> {
    [
        ("app.kubernetes.io/managed-by", MANAGER),
        (COMPONENT, component),
        (ORCHESTRATOR, orchestrator),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// Selects what belongs to the instances of an orchestrator.
pub(super) fn selector(orchestrator: &str) -> String {
    format!("{ORCHESTRATOR}={orchestrator},{COMPONENT}={MCP_SERVER}")
}

/// The Secret that an image is pulled with, made from given credentials.
pub(super) fn pull_secret(key: &InstanceKey) -> String {
    format!("{}-pull", key.name())
}

/// Which wishes the objects carry out. The key holds a keyed hash of the spec; the rest is no secret.
pub(super) fn wanted(key: &InstanceKey, options: &KubernetesOptions, inside: bool) -> String {
    let mut hash = Sha256::new();
    let labels = options.gateway_labels.iter();
    let labels: Vec<_> = labels
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let gateway = if inside {
        labels.join(",")
    } else {
        "outside".to_owned()
    };
    let namespace = options.gateway_namespace.as_deref().unwrap_or_default();
    for part in [key.name(), &options.base_image, &gateway, namespace, FORM] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize()[..8])
}
