//! One MCP endpoint in front of every server that an orchestrator runs.
//!
//! [`router`] is an axum router for a program that has a server of its own; [`serve`] is a server for one that has
//! none: it takes the listener and a future that says when to stop. Both install nothing global.

mod endpoint;
mod errors;
mod guard;
mod health;
mod modern;
mod options;
mod respond;
mod serve;

pub use self::endpoint::router;
pub use self::health::metrics_router;
pub use self::options::Options;
pub use self::serve::{Shutdown, serve, serve_with};
