//! Code shared by the examples: a small MCP server and a small client.

pub mod client;
pub mod direct;
pub mod hello;

/// The error of an example.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
