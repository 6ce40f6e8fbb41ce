//! Settings of gateways.

use crate::id::GatewayId;
use crate::router::{Members, ToolNames, ViewEntry};

/// A gateway and what it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GatewaySettings {
    /// Its name.
    pub id: GatewayId,
    /// The principals that may use it.
    pub members: Members,
    /// Whether the registry shows it to everyone, also without a token.
    pub is_public: bool,
    /// How it names tools and prompts.
    pub tool_names: ToolNames,
    /// Its servers, in order.
    pub servers: Vec<ViewEntry>,
}
