//! Clients that misbehave: they send slowly, too much or never, use revoked access, and flood. Others are still served.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its tasks end with its runtime"
)]

mod access;
mod bodies;
mod connections;
mod frames;
mod http2;
mod memory;
mod odd;
mod panics;
mod programs;
mod raw;
mod revoked;
mod site;
mod sse_clients;
mod sse_rights;
