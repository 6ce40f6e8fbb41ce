//! What the endpoint allows.

use std::time::Duration;

use mcp_orchestrator_core::auth::{AccessRevision, Network, PublicUrl};

use crate::resource::ProtectedResource;

/// Limits and rules of the endpoint.
#[derive(Clone, Debug)]
pub struct Options {
    /// The largest request body, in bytes.
    pub max_body_bytes: usize,
    /// Origins that browsers may call from, besides those of this machine.
    pub allowed_origins: Vec<String>,
    /// Hosts by which the gateway may be called, besides those of this machine; with `*` any.
    pub allowed_hosts: Vec<String>,
    /// The address under which clients know the gateway. Requests to a path below its own are taken too, for a proxy that
    /// leaves it there.
    pub public_url: Option<PublicUrl>,
    /// Where tokens for the endpoint come from; `None`: from nowhere that could be told.
    pub protected: Option<ProtectedResource>,
    /// Proxies whose word on for whom they forward is believed.
    pub trusted_proxies: Vec<Network>,
    /// How long a stream may be silent before a comment keeps it alive; also how long a call may take before its
    /// answer becomes a stream.
    pub keep_alive: Duration,
    /// Advances when access may have been taken away: the request of each open stream is authenticated again then.
    /// [`TokenAuthenticator::revision`](mcp_orchestrator_core::auth::TokenAuthenticator::revision) is one.
    pub revision: AccessRevision,
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
            keep_alive: Duration::from_secs(15),
            revision: AccessRevision::default(),
        }
    }
}
