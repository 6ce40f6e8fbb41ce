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

use super::audit::AuditEntry;
use super::file_auth::{AuthEntry, LimitsEntry, TlsEntry};
use super::file_credentials::CredentialsEntry;
use super::file_kubernetes::{BackendEntry, KubernetesEntry};
use super::file_oauth::NetworkEntry;
use super::file_people::{MembersEntry, TeamEntry};
use super::file_server::ServerEntry;
use super::units::{Size, Span};
use crate::router::{Hint, ToolNames};

/// Configuration of MCP Orchestrator: which MCP servers there are, and through which gateways they are reached.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "MCP Orchestrator configuration")]
pub struct File {
    /// Where this schema is found, for editors.
    #[serde(rename = "$schema")]
    pub schema: Option<String>,
    /// The MCP servers, by name. A name is a DNS label: lower-case letters, digits and `-`.
    pub servers: Option<Named<ServerEntry>>,
    /// The gateways, by name: `default` is `/mcp`, any other is `/mcp/{name}`. A gateway shows all servers where it
    /// lists none; `default` is there also where it is not named.
    pub gateways: Option<Named<GatewayEntry>>,
    /// The teams, by name, in the order in which their credentials are looked for. Who stands in none of them may still
    /// be in teams of which the token tells.
    pub teams: Option<Named<TeamEntry>>,
    /// The users who administer: they install for everybody, make tokens, and see all that runs.
    pub admins: Option<Vec<Typed>>,
    /// Where programs run that name no `backend`: `process` or `kubernetes`; absent: `process`, and inside a cluster
    /// `kubernetes`.
    pub backend: Option<BackendEntry>,
    /// The cluster in which programs run as pods.
    pub kubernetes: Option<KubernetesEntry>,
    /// Whether processes may be started inside a cluster, where they share the gateway's pod; absent: false.
    pub allow_processes: Option<bool>,
    /// Variables of our own environment that every process gets too, beside those for proxies and certificate
    /// authorities, which it gets anyway. Pods inherit nothing.
    pub inherit_env: Option<Vec<String>>,
    /// Address and port of the gateway, as `127.0.0.1:8080`. Port 0: any free one.
    pub listen: Option<Typed>,
    /// Address and port of the Prometheus metrics; absent: none.
    pub metrics_listen: Option<Typed>,
    /// The folder for what outlives a restart; absent: one per configuration file below `$XDG_STATE_HOME`.
    pub state_dir: Option<Typed>,
    /// Where installed credentials, tokens and what belongs to them are kept.
    pub credentials: Option<CredentialsEntry>,
    /// Origins of browser pages that may use the gateway besides local ones, as `https://app.example.com`.
    pub allowed_origins: Option<Vec<Typed>>,
    /// Host names under which the gateway may be asked besides local ones, as `mcp.example.com`.
    pub allowed_hosts: Option<Vec<Typed>>,
    /// The largest request body that is accepted.
    pub max_body_bytes: Option<Size>,
    /// Who may call, and how they are told apart; absent: whoever reaches the gateway on its own machine.
    pub auth: Option<AuthEntry>,
    /// The address under which clients know the gateway, as `https://mcp.example.com` or
    /// `https://example.com/tools`, to which `/mcp` is added.
    pub public_url: Option<Typed>,
    /// Networks of reverse proxies whose `X-Forwarded-*` headers are believed, as `10.0.0.0/8`.
    pub trusted_proxies: Option<Vec<Typed>>,
    /// What the gateway may ask where a server or an issuer names the address.
    pub network: Option<NetworkEntry>,
    /// TLS of the gateway's own listener; absent: none.
    pub tls: Option<TlsEntry>,
    /// How long a call waits for its credential where its client can be asked to open a page; absent: 45s.
    pub auth_wait: Option<Span>,
    /// How much at once; absent: no limits.
    pub limits: Option<LimitsEntry>,
    /// Where it is told who did what with whose credential; absent: nowhere.
    pub audit: Option<AuditEntry>,
    /// How the programs log.
    pub log: Option<LogEntry>,
}

/// A gateway: which servers it shows, and how.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayEntry {
    /// Who may use it; absent: whoever is known to the gateway. To all others it does not exist.
    pub members: Option<MembersEntry>,
    /// How tools and prompts are named: `bare` as the server names them, `prefixed` as `server__tool`, `auto` bare
    /// where the gateway has one server, else prefixed.
    pub tool_names: Option<ToolNamesEntry>,
    /// The servers that it shows, in this order; absent: all.
    pub servers: Option<Vec<TextOr<GatewayServerEntry>>>,
}

/// How a gateway names tools and prompts.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ToolNamesEntry {
    /// Bare where the gateway has one server, else prefixed.
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
    /// Which server.
    pub server: String,
    /// Its name in this gateway, which is the prefix of its tools; absent: the server's own. The same server may
    /// stand in a gateway more than once under different names.
    #[serde(rename = "as")]
    pub alias: Option<String>,
    /// Which of its tools are shown; absent: all.
    pub tools: Option<ToolsEntry>,
    /// With whose credential it is called: `resolve` (the caller's own, else a team's, else the organization's),
    /// `none`, or `pinned` to one owner.
    pub credential: Option<TextOr<PinnedEntry>>,
}

/// Which tools of a server a gateway shows. `*` stands for any characters.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ToolsEntry {
    /// Shown; absent or empty: all.
    pub show: Vec<String>,
    /// Not shown, even if `show` names them.
    pub hide: Vec<String>,
    /// What a tool's annotations must say for it to be shown; a tool that says nothing has the protocol's defaults,
    /// which trust nothing.
    pub only: Vec<HintEntry>,
}

/// What the annotations of a tool say.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HintEntry {
    /// It changes nothing.
    ReadOnly,
    /// It destroys nothing.
    NonDestructive,
    /// Calling it again with the same arguments changes nothing more.
    Idempotent,
    /// It stays within its own domain.
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
    /// Whose credential: `organization`, `team/NAME` or `user/NAME`.
    pub pinned: String,
}

/// How the programs log.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogEntry {
    /// `text` for people, `json` for programs.
    pub format: Option<LogFormat>,
    /// Which messages: `error`, `warn`, `info`, `debug`, `trace`, or a filter as `info,mcp_orchestrator_core=debug`.
    pub level: Option<Typed>,
}

/// In which form log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
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

/// A text, or something with more to it.
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
