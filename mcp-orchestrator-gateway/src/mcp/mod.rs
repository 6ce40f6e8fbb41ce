//! The MCP endpoint: from an HTTP request to a call of the orchestrator, and back.

pub(crate) mod bodies;
pub(crate) mod endpoint;
pub(crate) mod respond;
