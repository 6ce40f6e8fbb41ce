//! Fuzzing entry points: each accepts any bytes and panics if an invariant is violated.
//!
//! `fuzz/` has a cargo-fuzz target for each of them; the workspace's tests replay the stored corpus through the same
//! functions.

#[cfg(feature = "config")]
pub mod config;
pub mod jsonrpc;
#[cfg(feature = "oauth")]
pub mod oauth;
pub mod routing;
pub mod transport;
