//! Contract suites: one for each seam, run by every implementation, ours and yours.

pub mod auth;
pub mod credential;
pub mod fuzz;
#[cfg(feature = "jwt")]
pub mod issuer;
pub mod router;
pub mod runtime;
pub mod state;
