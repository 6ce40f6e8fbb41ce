//! The file format: the entries of a file, before variables are expanded and values are checked.
//!
//! The doc comments become the descriptions in the JSON Schema.

use schemars::JsonSchema;
use serde::Deserialize;

use super::auth::AuthEntry;
use super::credentials::CredentialsEntry;
use super::gateway::GatewayEntry;
use super::kubernetes::{BackendEntry, KubernetesEntry};
use super::listener::{LimitsEntry, TlsEntry};
use super::log::{AuditEntry, LogEntry};
use super::network::NetworkEntry;
use super::people::TeamEntry;
use super::server::ServerEntry;
use super::units::{Size, Span};
use super::value::{Named, Typed};

/// Configuration of MCP Orchestrator: the MCP servers, and the gateways that expose them.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "MCP Orchestrator configuration")]
pub struct File {
    /// URL of this schema, for editors.
    #[serde(rename = "$schema")]
    pub schema: Option<String>,
    /// MCP servers by name. A name is a DNS label: lowercase letters, digits and `-`.
    pub servers: Option<Named<ServerEntry>>,
    /// Gateways by name. `default` is served at `/mcp`, any other at `/mcp/{name}`. A gateway without a list of servers
    /// shows all of them. `default` exists even if it is not configured.
    pub gateways: Option<Named<GatewayEntry>>,
    /// Teams by name, in the order in which their credentials are tried. A user's token may name further teams.
    pub teams: Option<Named<TeamEntry>>,
    /// User names of the administrators. They install credentials for everyone, create tokens, and see all running
    /// instances.
    pub admins: Option<Vec<Typed>>,
    /// Backend of servers that do not set their own: `process` or `kubernetes`. Default: `kubernetes` inside a cluster,
    /// otherwise `process`.
    pub backend: Option<BackendEntry>,
    /// The cluster in which servers run as pods.
    pub kubernetes: Option<KubernetesEntry>,
    /// Allows server processes inside a cluster, where they share the gateway's pod. Default: false.
    pub allow_processes: Option<bool>,
    /// Environment variables of the gateway that every server process inherits. Basic variables such as `PATH` and
    /// `HOME`, and those for proxies and certificate authorities, are always inherited. Pods inherit nothing.
    pub inherit_env: Option<Vec<String>>,
    /// Address and port of the gateway. Port 0 selects any free port. Default: `127.0.0.1:8080`.
    pub listen: Option<Typed>,
    /// Address and port of the Prometheus metrics. Default: no metrics.
    pub metrics_listen: Option<Typed>,
    /// Directory for state that survives a restart. Default: one directory per configuration file below
    /// `$XDG_STATE_HOME`.
    pub state_dir: Option<Typed>,
    /// Storage of installed credentials, tokens and related records.
    pub credentials: Option<CredentialsEntry>,
    /// Origins of browser pages that may use the gateway, in addition to local ones, for example
    /// `https://app.example.com`.
    pub allowed_origins: Option<Vec<Typed>>,
    /// Host names that requests may use for the gateway, in addition to local ones, for example `mcp.example.com`.
    pub allowed_hosts: Option<Vec<Typed>>,
    /// Maximum size of a request body. Default: 16MiB.
    pub max_body_bytes: Option<Size>,
    /// Authentication of callers. Default: every caller on the gateway's own machine is the local user.
    pub auth: Option<AuthEntry>,
    /// URL under which clients reach the gateway, for example `https://mcp.example.com` or `https://example.com/tools`;
    /// `/mcp` is appended to it.
    pub public_url: Option<Typed>,
    /// Networks of reverse proxies with trusted `X-Forwarded-*` headers, for example `10.0.0.0/8`.
    pub trusted_proxies: Option<Vec<Typed>>,
    /// Outbound connections of the gateway.
    pub network: Option<NetworkEntry>,
    /// TLS on the gateway's listener. Default: plain HTTP.
    pub tls: Option<TlsEntry>,
    /// How long a call waits for its credential if the client can be asked to open a page. Default: 45s.
    pub auth_wait: Option<Span>,
    /// How long a call waits for its client to answer the requests of the server. Default: 5m.
    pub input_wait: Option<Span>,
    /// Concurrency limits. If absent, each limit has its default.
    pub limits: Option<LimitsEntry>,
    /// The audit log. Default: none.
    pub audit: Option<AuditEntry>,
    /// Format and level of the log.
    pub log: Option<LogEntry>,
}
