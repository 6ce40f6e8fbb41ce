//! The harness of the end-to-end tests: a gateway in this process or as a program, a client that exposes the bytes on
//! the wire, and a scripted MCP server that controls every byte it sends.

pub mod browser;
pub mod client;
pub mod gateway;
pub mod lister;
pub mod program;
pub mod scripted;
pub mod wait;
