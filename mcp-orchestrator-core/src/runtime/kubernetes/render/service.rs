//! The Service before an instance, for those in the cluster who want its address; the gateway needs none.

use serde_json::{Value, json};

use super::Rendering;
use crate::runtime::kubernetes::names::INSTANCE;

/// The Service, where the server asks for one and listens.
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
