//! One MCP endpoint in front of every server that an orchestrator runs.
//!
//! [`router`] is an axum router for a program that has a server of its own; [`serve`] is a server for one that has
//! none: it takes the listener and a future that says when to stop. Both install nothing global.

#[cfg(feature = "program")]
pub mod args;
#[cfg(feature = "program")]
pub mod control;
#[cfg(feature = "program")]
pub mod discover;
mod endpoint;
mod errors;
mod guard;
mod health;
mod modern;
mod options;
#[cfg(feature = "program")]
pub mod program;
#[cfg(feature = "program")]
mod reload;
mod respond;
mod serve;
#[cfg(feature = "program")]
pub mod telemetry;

pub use self::endpoint::router;
pub use self::health::metrics_router;
pub use self::options::Options;
pub use self::serve::{Shutdown, serve, serve_with};
