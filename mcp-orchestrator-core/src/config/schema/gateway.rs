//! File entries of gateways.
//!
//! The doc comments become the descriptions in the JSON Schema.

use schemars::JsonSchema;
use serde::Deserialize;

use super::people::MembersEntry;
use super::value::{Json, Named, TextOr};
use crate::router::{Hint, ToolNames};

/// A gateway: an endpoint that shows a selection of servers.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct GatewayEntry {
    /// Users and teams that may use the gateway; for everyone else it does not exist. Default: all authenticated
    /// callers.
    pub members: Option<MembersEntry>,
    /// How tools and prompts are named: `bare` as the server names them, `prefixed` as `server__tool`, or `auto`: bare
    /// if the gateway has one server, otherwise prefixed. Default: `auto`.
    pub tool_names: Option<ToolNamesEntry>,
    /// Who sees the gateway in the registry and its server card: `members`, or `everyone`, also without a token. It grants
    /// no access to the gateway itself. Default: `members`.
    pub listed: Option<ListedEntry>,
    /// Servers of the gateway, in the order in which they are shown. Default: all.
    pub servers: Option<Vec<TextOr<GatewayServerEntry>>>,
}

/// How a gateway names tools and prompts.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ToolNamesEntry {
    /// Bare if the gateway has one server, otherwise prefixed.
    Auto,
    /// As the server names them.
    Bare,
    /// `server__tool`.
    Prefixed,
}

/// Who sees a gateway in the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ListedEntry {
    /// Callers that may use it.
    Members,
    /// Everyone, also without a token.
    Everyone,
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
#[non_exhaustive]
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
#[non_exhaustive]
pub struct ToolsEntry {
    /// Patterns of tools to show. Default: all tools.
    pub show: Vec<String>,
    /// Patterns of tools to hide. They take precedence over `show`.
    pub hide: Vec<String>,
    /// Properties that a tool's annotations must declare. Missing annotations have the protocol's defaults, which
    /// assume the worst.
    pub only: Vec<HintEntry>,
    /// Changes of single tools, by the server's own names: what callers of this gateway see instead, and arguments that
    /// the gateway sets.
    pub change: Named<ToolChangeEntry>,
}

/// What a gateway changes of one tool.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ToolChangeEntry {
    /// Name that callers see instead, without the server's prefix: 1 to 128 of A-Z, a-z, 0-9, `_`, `-` and `.`. Callers
    /// no longer know the tool's own name.
    pub name: Option<String>,
    /// Title that callers see instead; also replaces `annotations.title` if the tool has one.
    pub title: Option<String>,
    /// Description that callers see instead. Variables are not filled in.
    pub description: Option<String>,
    /// Arguments that are hidden from callers and set on every call, with their values. Variables are not filled in:
    /// secrets belong into the server's `credentials`, `env` or `headers`.
    pub arguments: Named<Json>,
}

/// A property that a tool's annotations can declare.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
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
#[non_exhaustive]
pub struct PinnedEntry {
    /// The owner: `organization`, `team/NAME` or `user/NAME`.
    pub pinned: String,
}
