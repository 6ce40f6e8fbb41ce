//! Code shared by the examples: a small MCP server, and a small client that calls it.

pub mod client;
pub mod direct;
pub mod hello;

/// The error type of the examples.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
