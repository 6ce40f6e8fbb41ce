//! Names, labels and annotations of the objects of an instance.

use std::collections::BTreeMap;

use crate::kubernetes::names::{COMPONENT, MANAGER, ORCHESTRATOR};
use crate::runtime::InstanceKey;

/// The container that runs the server.
pub(crate) const CONTAINER: &str = "server";

/// Label: the instance's name, on its objects and pods. Also the pod selector.
pub(crate) const INSTANCE: &str = "app.kubernetes.io/instance";
/// The value of the label [`COMPONENT`] on all objects of an instance.
pub(crate) const MCP_SERVER: &str = "mcp-server";

/// Annotation: the serialized instance key.
pub(crate) const KEY: &str = "mcp-orchestrator.dev/key";
/// Annotation: a hash of the desired state for which the objects were written.
pub(crate) const WANTED: &str = "mcp-orchestrator.dev/wanted";
/// Annotation: a keyed hash of the values in the Secret.
pub(crate) const VALUES: &str = "mcp-orchestrator.dev/values";
/// Annotation: why a stopped instance ended, if it failed.
pub(crate) const FAILURE: &str = "mcp-orchestrator.dev/failure";

/// Prefixes of label and annotation names that only the orchestrator may set.
pub(crate) const RESERVED_PREFIXES: [&str; 2] = ["mcp-orchestrator.dev/", "app.kubernetes.io/"];

/// Returns the labels of all objects and pods of an instance.
pub(crate) fn labels(key: &InstanceKey, orchestrator: &str) -> BTreeMap<String, String> {
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

/// Returns the label selector of all instance objects of an orchestrator.
pub(crate) fn selector(orchestrator: &str) -> String {
    format!("{ORCHESTRATOR}={orchestrator},{COMPONENT}={MCP_SERVER}")
}

/// Returns the name of the image pull Secret that is created from configured credentials.
pub(crate) fn pull_secret(key: &InstanceKey) -> String {
    format!("{}-pull", key.name())
}
