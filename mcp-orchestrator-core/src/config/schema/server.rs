//! File entry of a server. `add` and `import` write the same type.
//!
//! The doc comments become the descriptions in the JSON Schema.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::schema::kubernetes::BackendEntry;
use crate::config::schema::oauth::OAuthChoice;
use crate::config::schema::pod::PodEntry;
use crate::config::schema::units::{Size, Span, SpanOrNever};
use crate::config::schema::value::{TextOr, Typed};
use crate::credential::OwnerKind;
use crate::server::{EraChoice, Isolation, StartMode};

/// An MCP server: a program that the orchestrator runs (`command`, `image`, or both), or a remote server (`url`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServerEntry {
    /// The program and its arguments as a list, or the program alone, with `args`. In the arguments of a `type: http`
    /// program, `${PORT}` is the port to listen on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<TextOr<Vec<Typed>>>,
    /// Arguments of a `command` that is a single text; without a `command`, of the image's own program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<Typed>>,
    /// Container image, for backends that run containers. A `command` runs in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Typed>,
    /// URL of a remote server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Typed>,
    /// Transport. Of a program: `stdio` or `http`. Default: `stdio`. Of a `url`: `http` or `sse`. Default: detected
    /// when the gateway connects.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub transport: Option<TransportEntry>,
    /// Port of a `type: http` program. Default: a free port, which the program receives as `${PORT}` in its arguments
    /// and in the variable PORT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The process that must answer on the port of a `type: http` program: `server` (the program itself), or `any`, for
    /// example if a container engine publishes the port. Default: `server`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_owner: Option<PortOwnerEntry>,
    /// Path of the endpoint of a `type: http` program. Default: `/mcp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Typed>,
    /// Headers that are sent with every request to a `url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<BTreeMap<String, Typed>>,
    /// Environment variables of the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<BTreeMap<String, Typed>>,
    /// File with more environment variables, a `NAME=VALUE` on each line, as in `.env`. Variables in `env` take
    /// precedence. A relative path starts at the directory of the configuration file. The file is read together with
    /// the configuration, and all its values are secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env_file: Option<Typed>,
    /// Variables of the gateway's own environment that the program inherits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inherit_env: Option<Vec<String>>,
    /// Working directory of the program. A relative path starts at the directory of the configuration file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<Typed>,
    /// Secrets that the server needs. All callers share a server without secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Vec<CredentialEntry>>,
    /// `true`: the server's token is obtained through OAuth, from the issuer that the server names. Otherwise the
    /// settings of OAuth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth: Option<OAuthChoice>,
    /// Owners that the server may be installed for: `user`, `team`, `organization`. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub install: Option<Vec<OwnerKindEntry>>,
    /// Tools to show to callers without a credential. Default: a single tool, `connect`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<DeclaredToolEntry>>,
    /// Shows callers without a credential the lists of an instance that has no secrets and is used for nothing else.
    /// Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list_without_credential: Option<bool>,
    /// Protocol era: `auto` (detected), `legacy` (sessions, up to 2025-11-25) or `modern` (stateless, from 2026-07-28).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub era: Option<EraEntry>,
    /// Sharing of an instance among callers with the same credential owner: by all (`shared`), or one instance for each
    /// `principal` or `session`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<IsolationEntry>,
    /// Start of instances: at the first call that needs one (`lazy`), or at once (`eager`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<StartEntry>,
    /// Timeout of a call, from its arrival to its result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// Time within which an instance must become ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_timeout: Option<Span>,
    /// Time that a list request waits for an instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list_timeout: Option<Span>,
    /// Time to wait between the steps of a stop: closing standard input, requesting termination, killing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_grace: Option<Span>,
    /// Time that a replaced instance gets to finish its calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_timeout: Option<Span>,
    /// Time without a call after which an instance is stopped; `never`: it keeps running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<SpanOrNever>,
    /// Maximum size of a message from the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_message_bytes: Option<Size>,
    /// Maximum number of calls in flight per instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_calls_in_flight: Option<usize>,
    /// Maximum time for which a task keeps an instance from being stopped as idle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_ttl_max: Option<Span>,
    /// Allowed egress, for backends that can enforce it: `all`, `public` (no private addresses), `none`, or a list of
    /// networks, for example `10.1.0.0/16` or `10.1.2.3/32:443`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress: Option<TextOr<Vec<String>>>,
    /// Where the server runs: `process` or `kubernetes`. Default: the default backend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<BackendEntry>,
    /// Settings of the server's pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodEntry>,
}

/// A secret that a server needs: how the server receives it (`env`, `file` or `header`), and where the value comes from
/// (`value`, `from_env`, `from_file` or `from_secret`; none of them: it is installed later).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CredentialEntry {
    /// Name, unique within the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Description for the user who provides the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// If true, the server does not work without it. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// If true, the value is not secret and may be shown. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plain: Option<bool>,
    /// Value that is used if the user who installs the server provides none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Accepted values. Default: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub choices: Option<Vec<String>>,
    /// Environment variable that receives the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// Name of the file that receives the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<TextOr<FileEntry>>,
    /// Request header that receives the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<TextOr<HeaderEntry>>,
    /// The value, preferably as a variable: `${TOKEN}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Typed>,
    /// Variable of the gateway's own environment that contains the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_env: Option<String>,
    /// File that contains the value. A relative path starts at the directory of the configuration file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_file: Option<Typed>,
    /// Key of a Secret that contains the value, in the orchestrator's namespace of its cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_secret: Option<SecretPlaceEntry>,
}

/// A key of a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SecretPlaceEntry {
    /// Name of the Secret.
    pub name: String,
    /// Key in the data of the Secret.
    pub key: String,
}

/// A tool of a server, as shown to callers without a credential.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DeclaredToolEntry {
    /// Name of the tool at the server.
    pub name: String,
    /// Description of the tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema of the arguments. Default: any object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<BTreeMap<String, Value>>,
}

/// Kind of owner that a server may be installed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum OwnerKindEntry {
    /// The user who installs it.
    User,
    /// A team.
    Team,
    /// Everyone.
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
#[non_exhaustive]
pub struct FileEntry {
    /// Name of the file.
    pub name: String,
    /// Environment variable that receives the path of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_env: Option<String>,
}

/// A secret that is sent in a request header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderEntry {
    /// Name of the header.
    pub name: String,
    /// Text before the value, for example `"Bearer "`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
}

/// The process that must answer on the port of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum PortOwnerEntry {
    /// The server's own process, or one that it started.
    Server,
    /// Any process of this machine.
    Any,
}

/// Transport of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
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
    /// Protocol era of a server.
    EraEntry => EraChoice {
        /// Detected when the gateway connects.
        Auto,
        /// Sessions, up to 2025-11-25.
        Legacy,
        /// Stateless, from 2026-07-28.
        Modern
    }
}

choice! {
    /// Sharing of an instance among callers with the same credential owner.
    IsolationEntry => Isolation {
        /// All callers who may use the owner's credential.
        Shared,
        /// One instance per principal.
        Principal,
        /// One instance per session.
        Session
    }
}

choice! {
    /// Start of instances.
    StartEntry => StartMode {
        /// At the first call that needs one.
        Lazy,
        /// At once.
        Eager
    }
}
