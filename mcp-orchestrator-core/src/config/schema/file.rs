//! The file format: the entries of a file, before variables are expanded and values are checked.
//!
//! The doc comments become the descriptions in the JSON Schema.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::config::schema::audit::AuditEntry;
use crate::config::schema::auth::{AuthEntry, LimitsEntry, TlsEntry};
use crate::config::schema::credentials::CredentialsEntry;
use crate::config::schema::kubernetes::{BackendEntry, KubernetesEntry};
use crate::config::schema::oauth::NetworkEntry;
use crate::config::schema::people::{MembersEntry, TeamEntry};
use crate::config::schema::server::ServerEntry;
use crate::config::schema::units::{Size, Span};
use crate::router::{Hint, ToolNames};

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
    /// Concurrency limits. If absent, each limit has its default.
    pub limits: Option<LimitsEntry>,
    /// The audit log. Default: none.
    pub audit: Option<AuditEntry>,
    /// Format and level of the log.
    pub log: Option<LogEntry>,
}

/// A gateway: an endpoint that shows a selection of servers.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayEntry {
    /// Users and teams that may use the gateway; for everyone else it does not exist. Default: all authenticated
    /// callers.
    pub members: Option<MembersEntry>,
    /// How tools and prompts are named: `bare` as the server names them, `prefixed` as `server__tool`, or `auto`: bare
    /// if the gateway has one server, otherwise prefixed. Default: `auto`.
    pub tool_names: Option<ToolNamesEntry>,
    /// Servers of the gateway, in the order in which they are shown. Default: all.
    pub servers: Option<Vec<TextOr<GatewayServerEntry>>>,
}

/// How a gateway names tools and prompts.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ToolNamesEntry {
    /// Bare if the gateway has one server, otherwise prefixed.
    Auto,
    /// As the server names them.
    Bare,
    /// `server__tool`.
    Prefixed,
}

impl From<ToolNamesEntry> for ToolNames {
    fn from(entry: ToolNamesEntry) -> Self {
        match entry {
            ToolNamesEntry::Auto => Self::Auto,
            ToolNamesEntry::Bare => Self::Bare,
            ToolNamesEntry::Prefixed => Self::Prefixed,
        }
    }
}

/// A server in a gateway.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GatewayServerEntry {
    /// Name of the server.
    pub server: String,
    /// Name of the server in this gateway, used as the prefix of its tools. Default: the server's own name. A gateway
    /// can show the same server several times under different names.
    #[serde(rename = "as")]
    pub alias: Option<String>,
    /// Tools to show. Default: all.
    pub tools: Option<ToolsEntry>,
    /// Credential for calls: `resolve` (the caller's own, else a team's, else the organization's), `none`, or `pinned`
    /// to one owner. Default: `resolve`.
    pub credential: Option<TextOr<PinnedEntry>>,
}

/// Selects the tools of a server that a gateway shows. In a pattern, `*` matches any characters.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ToolsEntry {
    /// Patterns of tools to show. Default: all tools.
    pub show: Vec<String>,
    /// Patterns of tools to hide. They take precedence over `show`.
    pub hide: Vec<String>,
    /// Properties that a tool's annotations must declare. Missing annotations have the protocol's defaults, which
    /// assume the worst.
    pub only: Vec<HintEntry>,
}

/// A property that a tool's annotations can declare.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HintEntry {
    /// The tool changes nothing.
    ReadOnly,
    /// The tool destroys nothing.
    NonDestructive,
    /// Repeating a call with the same arguments has no further effect.
    Idempotent,
    /// The tool does not interact with the outside world.
    ClosedWorld,
}

impl From<HintEntry> for Hint {
    fn from(entry: HintEntry) -> Self {
        match entry {
            HintEntry::ReadOnly => Self::ReadOnly,
            HintEntry::NonDestructive => Self::NonDestructive,
            HintEntry::Idempotent => Self::Idempotent,
            HintEntry::ClosedWorld => Self::ClosedWorld,
        }
    }
}

/// A credential rule that names an owner.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PinnedEntry {
    /// The owner: `organization`, `team/NAME` or `user/NAME`.
    pub pinned: String,
}

/// Format and level of the log.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogEntry {
    /// `text` for people, `json` for programs. Default: `text`.
    pub format: Option<LogFormat>,
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,mcp_orchestrator_core=debug`. Default:
    /// `info`.
    pub level: Option<Typed>,
}

/// Format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text, for people.
    #[default]
    Text,
    /// JSON, for programs.
    Json,
}

/// A text as written in the file. It may contain variables or a literal secret, so `Debug` hides it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Typed(pub String);

impl fmt::Debug for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[typed]")
    }
}

impl JsonSchema for Typed {
    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "number", "boolean"],
            "description": "A text; variables in it, as ${NAME} or ${NAME:-default}, are filled in."
        })
    }
}

impl From<&str> for Typed {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Typed {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// A text, or a longer form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum TextOr<T> {
    /// The short form.
    Text(Typed),
    /// The long form.
    Other(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for TextOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrVisitor(PhantomData))
    }
}

struct TextOrVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for TextOrVisitor<T> {
    type Value = TextOr<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, or the longer form,")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(TextOr::Text(text.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(TextOr::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        T::deserialize(SeqAccessDeserializer::new(seq)).map(TextOr::Other)
    }
}

/// Entries by name, in the order of the file.
#[derive(Clone, Debug)]
pub struct Named<T>(pub Vec<(String, T)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NamedVisitor(PhantomData))
    }
}

struct NamedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for NamedVisitor<T> {
    type Value = Named<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping of names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut named = Vec::new();
        while let Some(entry) = map.next_entry()? {
            named.push(entry);
        }
        Ok(Named(named))
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn schema_name() -> Cow<'static, str> {
        <BTreeMap<String, T>>::schema_name()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        <BTreeMap<String, T>>::json_schema(generator)
    }
}
