//! Names, labels and annotations of the objects that the orchestrator creates.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::options::KubernetesOptions;
use crate::runtime::InstanceKey;
use crate::seal::hex;

/// The field manager of our writes.
pub(crate) const MANAGER: &str = "mcp-orchestrator";
/// The container that runs the server.
pub(super) const CONTAINER: &str = "server";

/// Label: the orchestrator that the object belongs to.
pub(crate) const ORCHESTRATOR: &str = "mcp-orchestrator.dev/orchestrator";
/// Label: the instance's name, on its objects and pods. Also the pod selector.
pub(super) const INSTANCE: &str = "app.kubernetes.io/instance";
/// Label: the kind of component; `mcp-server` for instances.
pub(crate) const COMPONENT: &str = "app.kubernetes.io/component";
/// The value of [`COMPONENT`] on all objects of an instance.
pub(super) const MCP_SERVER: &str = "mcp-server";

/// Annotation: the serialized instance key.
pub(super) const KEY: &str = "mcp-orchestrator.dev/key";
/// Annotation: a hash of the desired state for which the objects were written.
pub(super) const WANTED: &str = "mcp-orchestrator.dev/wanted";
/// Annotation: a keyed hash of the values in the Secret.
pub(super) const VALUES: &str = "mcp-orchestrator.dev/values";
/// Annotation: why a stopped instance ended, if it failed.
pub(super) const FAILURE: &str = "mcp-orchestrator.dev/failure";

/// Incremented when the same spec yields different objects, so that existing ones are rewritten when they are woken
/// from zero.
const FORM: &str = "2";

/// Prefixes of label and annotation names that only the orchestrator may set.
pub(super) const OURS: [&str; 2] = ["mcp-orchestrator.dev/", "app.kubernetes.io/"];

/// Returns the labels of all objects and pods of an instance.
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

/// Returns the labels of the orchestrator's own objects, which belong to no instance.
pub(crate) fn component_labels(orchestrator: &str, component: &str) -> BTreeMap<String, String> {
    [
        ("app.kubernetes.io/managed-by", MANAGER),
        (COMPONENT, component),
        (ORCHESTRATOR, orchestrator),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// Returns the label selector of all instance objects of an orchestrator.
pub(super) fn selector(orchestrator: &str) -> String {
    format!("{ORCHESTRATOR}={orchestrator},{COMPONENT}={MCP_SERVER}")
}

/// Returns the name of the image pull Secret that is created from configured credentials.
pub(super) fn pull_secret(key: &InstanceKey) -> String {
    format!("{}-pull", key.name())
}

/// Hashes the desired state of the objects. The key contains a keyed hash of the spec; the other parts are not
/// secret.
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
