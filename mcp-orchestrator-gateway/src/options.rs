//! What the endpoint allows.

use std::time::Duration;

/// Limits and rules of the endpoint.
#[derive(Clone, Debug)]
pub struct Options {
    /// The largest request body, in bytes.
    pub max_body_bytes: usize,
    /// Origins that browsers may call from, besides those of this machine.
    pub allowed_origins: Vec<String>,
    /// Hosts by which the gateway may be called, besides those of this machine; with `*` any.
    pub allowed_hosts: Vec<String>,
    /// How long a stream may be silent before a comment keeps it alive; also how long a call may take before its
    /// answer becomes a stream.
    pub keep_alive: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_body_bytes: 16 << 20,
            allowed_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            keep_alive: Duration::from_secs(15),
        }
    }
}
