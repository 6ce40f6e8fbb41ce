//! Names and labels that all objects of an orchestrator share.

use std::collections::BTreeMap;

/// The field manager of our writes.
pub(crate) const MANAGER: &str = "mcp-orchestrator";

/// Label: the orchestrator that the object belongs to.
pub(crate) const ORCHESTRATOR: &str = "mcp-orchestrator.dev/orchestrator";
/// Label: the kind of component; `mcp-server` for instances.
pub(crate) const COMPONENT: &str = "app.kubernetes.io/component";

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
