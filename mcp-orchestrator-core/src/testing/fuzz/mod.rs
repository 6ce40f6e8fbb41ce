//! Entry points for fuzzing: each takes any bytes and panics where an invariant does not hold.
//!
//! `fuzz/` has a cargo-fuzz target for each of them; the workspace's tests replay the kept corpus through the same
//! functions.

#[cfg(feature = "config")]
pub mod config;
pub mod jsonrpc;
#[cfg(feature = "oauth")]
pub mod oauth;
pub mod routing;
pub mod transport;
