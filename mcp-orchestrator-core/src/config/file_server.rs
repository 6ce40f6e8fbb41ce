//! A server of our own file format, as typed. `add` and `import` write the same type.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::file::{TextOr, Typed};
use super::file_kubernetes::BackendEntry;
use super::file_oauth::OAuthChoice;
use super::file_pod::PodEntry;
use super::units::{Size, Span, SpanOrNever};
use crate::credential::OwnerKind;
use crate::server::{EraChoice, Isolation, StartMode};

/// An MCP server: a program that is run (`command`, `image`, or both), or one that runs elsewhere (`url`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServerEntry {
    /// The program and its arguments as a list; or the program alone, with `args`. In a `type: http` server `${PORT}`
    /// in an argument is the port that it is to listen on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<TextOr<Vec<Typed>>>,
    /// The arguments of a `command` that is one text; without a `command`, of the image's own program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<Typed>>,
    /// A container image, for backends that run containers. It may stand beside `command`, which then runs in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Typed>,
    /// The address of a server that runs elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Typed>,
    /// How it is spoken to. A program: `stdio` (the default) or `http`; a `url`: `http` or `sse`, absent: detected when
    /// the gateway connects.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub transport: Option<TransportEntry>,
    /// The port of a `type: http` program; absent: a free one, which it is told as `${PORT}` and in the variable
    /// PORT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Whose process must answer on the port of a `type: http` program: `server` (the default), its own, or `any`, where
    /// a container engine publishes the port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_owner: Option<PortOwnerEntry>,
    /// The path of a `type: http` program's endpoint; absent: `/mcp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Typed>,
    /// Sent with every request to a `url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<BTreeMap<String, Typed>>,
    /// Environment variables of the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<BTreeMap<String, Typed>>,
    /// A file with more of them, a `NAME=VALUE` on each line, as `.env`; those in `env` count more. A relative path starts
    /// at this file's folder. It is read with this file, and all its values are secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env_file: Option<Typed>,
    /// Variables of our own environment that the program gets too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inherit_env: Option<Vec<String>>,
    /// The program's working directory; a relative one starts at the file's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<Typed>,
    /// The secrets that it needs. A server without any is shared by all callers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Vec<CredentialEntry>>,
    /// `true`: its token is obtained by OAuth, from where the server says; or how.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth: Option<OAuthChoice>,
    /// For whom it may be installed: `user`, `team`, `organization`; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub install: Option<Vec<OwnerKindEntry>>,
    /// Tools that callers without a credential are shown in its place; absent: one tool `connect`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<DeclaredToolEntry>>,
    /// Whether callers without a credential are shown what an instance lists that has no values in its slots, and is used
    /// for nothing else; absent: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list_without_credential: Option<bool>,
    /// Which dialect of MCP it is spoken to in: `auto` (what it answers to), `legacy` (sessions, up to 2025-11-25) or
    /// `modern` (stateless, from 2026-07-28).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub era: Option<EraEntry>,
    /// Who may share one instance of the same owner: all (`shared`), one `principal`, or one `session`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<IsolationEntry>,
    /// When it starts: at the first call that needs it (`lazy`), or at once (`eager`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<StartEntry>,
    /// For one call, from its arrival to its result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// For an instance to become ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_timeout: Option<Span>,
    /// For a list that has to wait for an instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list_timeout: Option<Span>,
    /// Between closing its input, asking it to end, and ending it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_grace: Option<Span>,
    /// For a replaced instance to finish its calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_timeout: Option<Span>,
    /// Idle for so long, an instance goes to rest; `never`: it stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<SpanOrNever>,
    /// One message of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_message_bytes: Option<Size>,
    /// Calls at once on one instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_calls_in_flight: Option<usize>,
    /// The longest time that a task may hold an instance awake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_ttl_max: Option<Span>,
    /// Where it may connect to, for backends that can enforce it: `all`, `public` (not private addresses), `none`, or
    /// a list of networks, as `10.1.0.0/16` or `10.1.2.3/32:443`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress: Option<TextOr<Vec<String>>>,
    /// Where it runs: `process` or `kubernetes`; absent: where programs run by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<BackendEntry>,
    /// How it stands in a pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodEntry>,
}

/// A secret that a server needs: how it gets it (`env`, `file` or `header`), and from where we take it (`value`,
/// `from_env`, `from_file` or `from_secret`; none of them: it is installed later).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CredentialEntry {
    /// Its name, unique in the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What a person is told who shall give it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether the server does not work without it; absent: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// Whether it is no secret, so that it may be shown; absent: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plain: Option<bool>,
    /// What counts where whoever installs the server gives nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// What may be given; absent: anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub choices: Option<Vec<String>>,
    /// The environment variable in which the server gets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// The name of the file in which the server gets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<TextOr<FileEntry>>,
    /// The request header in which the server gets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<TextOr<HeaderEntry>>,
    /// Its value, best as a variable: `${TOKEN}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Typed>,
    /// The variable of our own environment that holds its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_env: Option<String>,
    /// The file that holds its value; a relative one starts at the configuration file's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_file: Option<Typed>,
    /// The key of a Secret that holds its value, in the orchestrator's namespace of its cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_secret: Option<SecretPlaceEntry>,
}

/// A key of a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretPlaceEntry {
    /// The Secret's name.
    pub name: String,
    /// The key in its data.
    pub key: String,
}

/// A tool of a server, as callers without a credential are shown it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclaredToolEntry {
    /// Its name at the server.
    pub name: String,
    /// What it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The JSON Schema of its arguments; absent: any object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<BTreeMap<String, Value>>,
}

/// For whom a server may be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OwnerKindEntry {
    /// For the one who does it.
    User,
    /// For a team.
    Team,
    /// For everybody.
    Organization,
}

impl From<OwnerKindEntry> for OwnerKind {
    fn from(entry: OwnerKindEntry) -> Self {
        match entry {
            OwnerKindEntry::User => Self::User,
            OwnerKindEntry::Team => Self::Team,
            OwnerKindEntry::Organization => Self::Organization,
        }
    }
}

/// A secret that a server reads from a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// The file's name.
    pub name: String,
    /// The variable that tells the server the file's path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_env: Option<String>,
}

/// A secret that goes into a request header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderEntry {
    /// The header's name.
    pub name: String,
    /// What stands before the value, as `"Bearer "`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
}

/// Whose process must answer on a program's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PortOwnerEntry {
    /// The server's own, or one that it started.
    Server,
    /// Any process of this machine.
    Any,
}

/// How a server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TransportEntry {
    /// Lines on standard input and output.
    Stdio,
    /// Streamable HTTP.
    #[serde(alias = "streamable-http")]
    Http,
    /// HTTP+SSE of 2024-11-05.
    Sse,
}

macro_rules! choice {
    ($(#[$doc:meta])* $entry:ident => $noun:ident { $($(#[$variant_doc:meta])* $variant:ident),* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "lowercase")]
        pub enum $entry {
            $($(#[$variant_doc])* $variant,)*
        }

        impl From<$entry> for $noun {
            fn from(entry: $entry) -> Self {
                match entry {
                    $($entry::$variant => Self::$variant,)*
                }
            }
        }
    };
}

choice! {
    /// Which dialects a server is spoken to in.
    EraEntry => EraChoice {
        /// What it answers to.
        Auto,
        /// Sessions, up to 2025-11-25.
        Legacy,
        /// Stateless, from 2026-07-28.
        Modern
    }
}

choice! {
    /// Who may share one instance of the same owner.
    IsolationEntry => Isolation {
        /// All who may use that owner's credential.
        Shared,
        /// One principal.
        Principal,
        /// One session.
        Session
    }
}

choice! {
    /// When instances start.
    StartEntry => StartMode {
        /// At the first call that needs one.
        Lazy,
        /// At once.
        Eager
    }
}
