//! Contract suites: one per public trait, to be run by every implementation, including those of other crates.
//! docs/contract-suites.md lists the suites and the implementations here that run them.

pub mod audit;
pub mod auth;
pub mod connect;
pub mod credential;
pub mod fuzz;
#[cfg(feature = "jwt")]
pub mod issuer;
pub mod router;
pub mod runtime;
pub mod state;
pub mod trace_context;
