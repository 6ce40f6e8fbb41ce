//! The options of the endpoint.

use std::time::Duration;

use mcp_orchestrator_core::auth::{AccessRevision, Network, PublicUrl};
use mcp_orchestrator_core::id::GatewayId;

/// Limits and rules of the endpoint.
#[derive(Clone, Debug)]
pub struct Options {
    /// The largest request body, in bytes.
    pub max_body_bytes: usize,
    /// Origins that browsers may call from, in addition to those of this machine.
    pub allowed_origins: Vec<String>,
    /// Hosts that requests may name, in addition to those of this machine; `*` allows any.
    pub allowed_hosts: Vec<String>,
    /// The address under which clients know the gateway. If it has a path, requests below that path are accepted too,
    /// for proxies that do not strip it.
    pub public_url: Option<PublicUrl>,
    /// The authorization servers that issue tokens for the endpoint; `None` if clients are not referred to any.
    pub protected: Option<ProtectedResource>,
    /// Proxies that are trusted to set `X-Forwarded-*` headers.
    pub trusted_proxies: Vec<Network>,
    /// Gateways that the registry and their server cards show to callers without a token.
    pub public_gateways: Vec<GatewayId>,
    /// How long a stream may be silent before a comment keeps it alive, and how long a call may take before its
    /// response becomes a stream.
    pub keep_alive: Duration,
    /// Advances when access may have been revoked: the request of each open stream is then authenticated again.
    /// [`TokenAuthenticator::revision`](mcp_orchestrator_core::auth::TokenAuthenticator::revision) returns one.
    pub revision: AccessRevision,
}

/// The authorization servers that issue tokens for the endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProtectedResource {
    /// The accepted issuers.
    pub authorization_servers: Vec<String>,
    /// The scopes that a token must have.
    pub scopes: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_body_bytes: 16 << 20,
            allowed_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            public_url: None,
            protected: None,
            trusted_proxies: Vec::new(),
            public_gateways: Vec::new(),
            keep_alive: Duration::from_secs(15),
            revision: AccessRevision::default(),
        }
    }
}
