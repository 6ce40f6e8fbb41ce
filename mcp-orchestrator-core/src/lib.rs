//! MCP Orchestrator's library: runs each MCP server as an isolated instance of its own and routes every call to the
//! instance that belongs to the caller.
//!
//! The seams are the traits [`runtime::RuntimeBackend`], [`credential::CredentialResolver`],
//! [`credential::CredentialStore`], [`router::Router`], [`auth::Authenticator`] and [`state::StateStore`].
//! ARCHITECTURE.md of the project tells the rooms, the import rule and the life of a call.

// Tier 0: vocabulary.
pub mod error;
pub mod header_value;
pub mod id;
pub mod jsonrpc;
pub mod protocol;
pub mod seal;
mod time;
pub mod value;

// Tier 1: nouns and seams.
pub mod auth;
pub mod call;
pub mod credential;
pub mod router;
pub mod runtime;
pub mod server;
pub mod state;

// Tier 2: implementations.
mod transport;

// Tier 3: the engine.
mod catalog;
pub mod metrics;
pub mod orchestrator;
mod pool;
mod session;

// Tier 4: the only place that names implementations.
#[cfg(feature = "config")]
pub mod config;

#[cfg(feature = "test-util")]
pub mod testing;

pub use self::error::{Error, ErrorKind, Result};
pub use self::orchestrator::Orchestrator;
