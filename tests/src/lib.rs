//! The harness of the end-to-end tests: a gateway in this process or as a program, a client that shows the bytes on
//! the wire, and a scripted MCP server whose every byte is ours.

pub mod browser;
pub mod client;
pub mod gateway;
pub mod lister;
pub mod program;
pub mod scripted;
pub mod wait;
