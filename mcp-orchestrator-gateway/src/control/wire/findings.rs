//! What the lists of a gateway's servers say about their combination: names that collide, and extensions that are not
//! announced.

use mcp_orchestrator_core::app::{GatewayConflict, GatewayExtension};
use serde::{Deserialize, Serialize};

/// `GET /v1/conflicts`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Conflicts {
    /// Every name that several servers of a gateway list, according to the cached lists.
    pub conflicts: Vec<ConflictInfo>,
    /// Every extension that a gateway does not announce.
    #[serde(default)]
    pub extensions: Vec<ExtensionInfo>,
}

/// An extension that a gateway does not announce.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExtensionInfo {
    /// The gateway's name.
    pub gateway: String,
    /// The extension's name.
    pub name: String,
    /// The names there of the servers that declare it.
    pub servers: Vec<String>,
    /// A description for people.
    pub message: String,
}

impl From<&GatewayExtension> for ExtensionInfo {
    fn from(found: &GatewayExtension) -> Self {
        let servers = found.extension.servers.iter();
        Self {
            gateway: found.gateway.to_string(),
            name: found.extension.name.clone(),
            servers: servers.map(ToString::to_string).collect(),
            message: format!("gateway {}: {}", found.gateway, found.extension),
        }
    }
}

/// A name that several servers of a gateway list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConflictInfo {
    /// The gateway's name.
    pub gateway: String,
    /// The name or URI.
    pub name: String,
    /// The servers' names there; the first one answers.
    pub servers: Vec<String>,
    /// Whether the other servers cannot be reached by this name.
    pub error: bool,
    /// A description for people.
    pub message: String,
}

impl From<&GatewayConflict> for ConflictInfo {
    fn from(found: &GatewayConflict) -> Self {
        let servers = found.conflict.servers.iter();
        Self {
            gateway: found.gateway.to_string(),
            name: found.conflict.name.clone(),
            servers: servers.map(ToString::to_string).collect(),
            error: found.is_error(),
            message: format!("gateway {}: {}", found.gateway, found.conflict),
        }
    }
}
