//! Contract suites: one per public trait, to be run by every implementation, including those of other crates.

pub mod auth;
pub mod credential;
pub mod fuzz;
#[cfg(feature = "jwt")]
pub mod issuer;
pub mod router;
pub mod runtime;
pub mod state;
