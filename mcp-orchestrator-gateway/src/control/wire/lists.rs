//! Messages of the control endpoint about tools, prompts and resources.

use mcp_orchestrator_core::orchestrator::Unlisted;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// `GET /v1/servers/{server}/tools` and `GET /v1/gateways/{gateway}/tools`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tools {
    /// The tools, as in the protocol.
    pub tools: Vec<Box<RawValue>>,
    /// Servers of the gateway without tools in the list, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Unlisted>,
}

/// `GET /v1/servers/{server}/prompts` and `GET /v1/gateways/{gateway}/prompts`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Prompts {
    /// The prompts, as in the protocol.
    pub prompts: Vec<Box<RawValue>>,
    /// Servers of the gateway without prompts in the list, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Unlisted>,
}

/// `GET /v1/servers/{server}/resources` and `GET /v1/gateways/{gateway}/resources`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Resources {
    /// The resources, as in the protocol.
    pub resources: Vec<Box<RawValue>>,
    /// The resource templates.
    pub templates: Vec<Box<RawValue>>,
    /// Servers of the gateway without resources in the list, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Unlisted>,
}
