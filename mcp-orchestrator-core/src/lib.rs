//! Library of MCP Orchestrator: runs each MCP server as an isolated instance and routes every call to the instance that
//! belongs to the caller.
//!
//! The seams are the traits [`runtime::RuntimeBackend`], [`credential::CredentialResolver`],
//! [`credential::CredentialStore`], [`router::Router`], [`auth::Authenticator`] and [`state::StateStore`]. An
//! [`Orchestrator`] is built from any implementation of each. It contains no HTTP server; `mcp-orchestrator-gateway`
//! does. The project's ARCHITECTURE.md describes the modules, the import rule and the life of a call.
//!
//! # Example
//!
//! A server, a gateway that exposes it, and a call. A program would use [`runtime::ProcessBackend`]; here the server is
//! a future of the same process.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use mcp_orchestrator_core::Orchestrator;
//! use mcp_orchestrator_core::auth::Principal;
//! use mcp_orchestrator_core::call::Call;
//! use mcp_orchestrator_core::id::{GatewayId, PrincipalId, ServerId};
//! use mcp_orchestrator_core::jsonrpc::{self, Message};
//! use mcp_orchestrator_core::router::{GatewaySpec, TableRouter};
//! use mcp_orchestrator_core::runtime::{Exit, MemoryBackend};
//! use mcp_orchestrator_core::server::ServerSpec;
//! # use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = ServerSpec::command(ServerId::new("hello")?, "hello-server", ["--stdio"]);
//! let router = Arc::new(TableRouter::new([GatewaySpec::of_all([&server])]));
//! let backend = MemoryBackend::new(|_key, _launch, pipe| async move {
//!     // … reads lines from the pipe and writes its answers to it.
//! #   let (reader, mut writer) = tokio::io::split(pipe);
//! #   let mut lines = BufReader::new(reader).lines();
//! #   while let Ok(Some(line)) = lines.next_line().await {
//! #       let request: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
//! #       if request["id"].is_null() { continue; }
//! #       let result = match request["method"].as_str() {
//! #           Some("initialize") => r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"hello","version":"1"}}"#,
//! #           Some("tools/call") => r#"{"content":[{"type":"text","text":"Hello, Ann!"}]}"#,
//! #           _ => r#"{"tools":[]}"#,
//! #       };
//! #       let answer = format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{result}}}\n", request["id"]);
//! #       if writer.write_all(answer.as_bytes()).await.is_err() { break; }
//! #   }
//!     Exit::status(0)
//! });
//! let orchestrator = Orchestrator::builder(Arc::new(backend), router).build();
//! orchestrator.apply([Arc::new(server)]);
//!
//! let ann = Arc::new(Principal::user(PrincipalId::new("ann")?, "example"));
//! let params = r#"{"name":"greet","arguments":{"name":"Ann"}}"#;
//! let request = Message::parse(jsonrpc::request("1", "tools/call", Some(params)))?;
//! let call = Call::modern(ann, GatewayId::default_gateway(), request);
//! let response = orchestrator.call(call).await?.response().await?;
//! assert!(response.body().is_some_and(|result| result.contains("Hello, Ann!")));
//! orchestrator.shutdown(Duration::from_secs(1)).await;
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! | feature | default | what it brings |
//! |---|---|---|
//! | `process` | yes | child processes as instances |
//! | `remote` | yes | remote servers over HTTPS |
//! | `config` | yes | configuration files |
//! | `local-store` | yes | a file of sealed records for credentials |
//! | `jwt`, `oauth` | yes | callers by tokens of OIDC issuers; tokens for servers, obtained and renewed |
//! | `fetch`, `outbound`, `files` | yes | come with the features above: requests to issuers, connections to other machines, and files that an operator names |
//! | `kubernetes` | no | pods of a Kubernetes cluster as instances |
//! | `test-util` | no | the contract suites in `testing`, for implementations of the traits |

// docs.rs shows which feature an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

// Tier 0: vocabulary.
mod backoff;
mod challenge;
mod collections;
mod connect;
pub mod error;
pub mod files;
pub mod header_value;
pub mod id;
pub mod jsonrpc;
pub mod limits;
pub mod mask;
mod net;
mod principal;
pub mod protocol;
pub mod seal;
mod secret_json;
pub mod time;
pub mod trace_context;
pub mod value;

// Tier 1: types and seams.
pub mod audit;
pub mod auth;
pub mod call;
pub mod credential;
pub mod router;
pub mod runtime;
pub mod server;
pub mod state;

// Tier 2: implementations.
pub mod fetch;
#[cfg(feature = "kubernetes")]
mod kubernetes;
#[cfg(any(feature = "jwt", feature = "oauth"))]
#[cfg_attr(
    not(all(feature = "jwt", feature = "oauth")),
    expect(
        dead_code,
        unused_imports,
        reason = "each of its users needs a part of it"
    )
)]
mod oauth;
#[cfg(feature = "outbound")]
pub mod outbound;
#[cfg(any(feature = "outbound", feature = "kubernetes"))]
mod tls;
mod transport;

// Tier 3: the engine.
mod catalog;
pub mod metrics;
pub mod orchestrator;
mod pool;
mod session;

// Tier 4: installation of servers and credentials.
pub mod installer;

// Tier 5: configuration files.
#[cfg(feature = "config")]
pub mod config;

// Tier 6: composition of implementations.
#[cfg(feature = "config")]
pub mod app;

#[cfg(feature = "test-util")]
pub mod testing;

pub use self::error::{Error, ErrorKind, Result};
pub use self::orchestrator::Orchestrator;

/// Compiles the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
