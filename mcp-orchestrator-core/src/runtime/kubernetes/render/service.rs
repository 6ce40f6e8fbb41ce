//! The Service of an instance, for other clients in the cluster; the gateway does not need it.

use serde_json::{Value, json};

use super::Rendering;
use crate::runtime::kubernetes::names::INSTANCE;

/// Renders the Service, if the server requests one and listens on a port.
pub(super) fn service(of: &Rendering<'_>) -> Option<Value> {
    let port = of.port().filter(|_| of.program.container.service)?;
    Some(json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": of.metadata(of.key.name()),
        "spec": {
            "type": "ClusterIP",
            "selector": { INSTANCE: of.key.name() },
            "ports": [{ "name": "mcp", "port": port, "targetPort": port, "protocol": "TCP" }],
        },
    }))
}
