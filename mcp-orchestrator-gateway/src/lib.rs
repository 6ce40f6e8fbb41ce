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

#[cfg(feature = "program")]
mod access;
mod admission;
#[cfg(feature = "program")]
pub mod args;
mod batch;
#[cfg(feature = "program")]
pub mod control;
mod cors;
#[cfg(feature = "program")]
pub mod discover;
mod errors;
mod forwarded;
mod gate;
mod guard;
#[cfg(feature = "program")]
pub mod hardening;
mod health;
#[cfg(feature = "program")]
pub mod hello;
pub mod limits;
#[cfg(feature = "program")]
mod live;
mod mcp;
mod modern;
mod options;
#[cfg(feature = "pages")]
mod pages;
#[cfg(feature = "program")]
pub mod program;
#[cfg(feature = "pages")]
mod rates;
#[cfg(feature = "program")]
mod reload;
mod resource;
mod serve;
mod sse;
#[cfg(feature = "program")]
pub mod telemetry;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "program")]
mod waiting;

pub use self::forwarded::Forwarded;
pub use self::health::{Readiness, health_router, metrics_router};
pub use self::mcp::endpoint::{Endpoint, router};
pub use self::options::Options;
#[cfg(feature = "pages")]
pub use self::pages::{Pages, pages};
pub use self::resource::{ProtectedResource, well_known};
pub use self::serve::{ConnectionLimits, LiveRoutes, Routes, Shutdown, serve, serve_with};
#[cfg(feature = "tls")]
pub use self::tls::{Tls, TlsError};
