//! The MCP endpoint: from an HTTP request to a call of the orchestrator, and back.

pub(crate) mod admission;
pub(crate) mod batch;
pub(crate) mod bodies;
mod caller;
pub(crate) mod endpoint;
mod event_id;
pub(crate) mod handler;
pub(crate) mod invalid;
pub(crate) mod modern;
pub(crate) mod respond;
pub(crate) mod sse;
