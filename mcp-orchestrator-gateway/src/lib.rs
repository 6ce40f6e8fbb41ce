//! One MCP endpoint in front of every server that an orchestrator runs.
//!
//! [`router`] is an axum router for a program that has its own server. [`serve`] is a server for a program that has
//! none; it takes the listener and a future that completes when it is to stop. Neither installs anything global. The
//! feature `program` (default) adds what the binary needs: arguments, logging, reload.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use mcp_orchestrator_core::Orchestrator;
//! use mcp_orchestrator_core::auth::{Authenticator, LocalAuthenticator};
//! use mcp_orchestrator_core::router::{GatewaySpec, TableRouter};
//! use mcp_orchestrator_core::runtime::{Exit, MemoryBackend};
//! use mcp_orchestrator_gateway::{Options, Shutdown, router, serve};
//! use tokio::net::TcpListener;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let backend = Arc::new(MemoryBackend::new(|_, _, _| async { Exit::status(0) }));
//! let table = Arc::new(TableRouter::new([GatewaySpec::of_all([])]));
//! let orchestrator = Orchestrator::builder(backend, table).build();
//!
//! let local: Arc<dyn Authenticator> = Arc::new(LocalAuthenticator::for_system_user());
//! let endpoint = router(orchestrator.clone(), [local], Options::default())?;
//!
//! // In an application of your own: `app.nest("/ai", endpoint)`. Else:
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let when = tokio::time::sleep(Duration::from_millis(1)); // or a signal
//! let grace = Duration::from_secs(30);
//! serve(listener, endpoint, Shutdown { when, grace }).await;
//! orchestrator.shutdown(grace).await;
//! # Ok(())
//! # }
//! ```

// docs.rs shows which feature an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "program")]
pub mod control;
mod errors;
mod health;
pub mod limits;
mod mcp;
mod options;
#[cfg(feature = "pages")]
mod pages;
#[cfg(feature = "program")]
pub mod program;
#[cfg(feature = "pages")]
mod rate_limit;
mod registry;
mod request;
mod serve;
#[cfg(feature = "tls")]
mod tls;

pub use self::health::{Readiness, health_router, metrics_router};
pub use self::mcp::endpoint::{Endpoint, router};
pub use self::options::{Options, ProtectedResource};
#[cfg(feature = "pages")]
pub use self::pages::{Pages, pages};
#[cfg(feature = "program")]
pub use self::program::{args, demo_server, discover, hardening, telemetry};
pub use self::registry::registry;
pub use self::request::forwarded::Forwarded;
pub use self::request::protected_resource::well_known;
pub use self::serve::{ConnectionLimits, LiveRoutes, Routes, Shutdown, serve, serve_with};
#[cfg(feature = "tls")]
pub use self::tls::{Tls, TlsError};

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
