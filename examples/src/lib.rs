//! What the examples share: a small MCP server to call, and a small client to call it with.

pub mod client;
pub mod direct;
pub mod hello;

/// What an example may fail with.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
