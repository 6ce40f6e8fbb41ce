//! File entries of the listener: TLS and limits.
//!
//! The doc comments become the descriptions in the JSON Schema.

use schemars::JsonSchema;
use serde::Deserialize;

use super::value::Typed;

/// TLS on the gateway's listener. Both files are reloaded when they change.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct TlsEntry {
    /// PEM file of the certificate and its intermediate certificates.
    pub certificate: Option<Typed>,
    /// PEM file of the private key.
    pub key: Option<Typed>,
}

/// Concurrency limits. Requests that exceed a limit on calls, sessions or instances are rejected with status 429 and
/// `Retry-After`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct LimitsEntry {
    /// Maximum number of calls in flight per principal. Default: 256.
    pub calls_per_principal: Option<LimitEntry>,
    /// Maximum number of calls in flight per server, over all principals. Default: no limit.
    pub calls_per_server: Option<LimitEntry>,
    /// Maximum number of open sessions of legacy clients per principal. When it is exceeded, the least recently used
    /// session ends; if all are in use, the new one is rejected. Default: 200.
    pub sessions_per_principal: Option<LimitEntry>,
    /// Maximum number of running instances per credential owner (a user or a team). Instances of the organization are
    /// shared and not counted. Default: no limit.
    pub instances_per_owner: Option<LimitEntry>,
    /// Maximum number of connections to the listener. When it is exceeded, the connection that has been idle longest is
    /// closed; if none is idle, the new one gets status 503. Default: 16384, at most half of the file descriptors that
    /// the process may open.
    pub connections: Option<LimitEntry>,
    /// Maximum number of connections from one IPv4 address or IPv6 /64 network. Loopback addresses and trusted proxies
    /// are exempt. Default: 1024.
    pub connections_per_address: Option<LimitEntry>,
}

/// A limit: a number, or `none` (or `off`) for no limit.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[non_exhaustive]
pub enum LimitEntry {
    /// The maximum.
    Count(usize),
    /// No limit.
    Off(NoLimit),
}

/// A word for no limit.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NoLimit {
    /// `none`
    None,
    /// `off`
    Off,
}
