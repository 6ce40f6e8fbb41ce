//! Configured servers: how a server is launched, which secrets it needs, and who may share an instance.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use http::Uri;
use serde::{Deserialize, Serialize};

pub use self::container::{
    Capability, Container, EnvFrom, EnvSource, PodSecurity, Probes, PullPolicy, PullSecret,
    Resources, TemplatePatch, VolumeEntry,
};
pub use self::declared::{DeclaredTool, WithoutCredential};
pub use self::limits::Limits;
pub use self::oauth::{
    ClientAuth, OAuthClient, OAuthDemand, OAuthEndpoints, OAuthGrant, OAuthResource, OAuthSpec,
    Refusals, TokenChange,
};
use crate::id::{BackendName, OwnerKind, ServerId, SlotName};
use crate::protocol::Era;
use crate::value::Text;

mod container;
mod declared;
mod digest;
mod limits;
mod oauth;

/// A configured MCP server.
#[derive(Clone, Debug)]
pub struct ServerSpec {
    /// Name of the server, unique among configured servers.
    pub id: ServerId,
    /// How the server is started, or where it is already running.
    pub launch: Launch,
    /// The backend that runs it. `None`: the default backend for programs.
    pub backend: Option<BackendName>,
    /// Environment variables, in addition to the few inherited ones.
    pub env: BTreeMap<String, Text>,
    /// Variables of this process's environment that a child process inherits.
    pub inherit_env: Vec<String>,
    /// The secrets that the server needs. If empty, one instance can serve all callers.
    pub slots: Vec<CredentialSlot>,
    /// How the token for one of its slots is obtained by OAuth. `None`: all values are given at installation.
    pub oauth: Option<OAuthSpec>,
    /// The kinds of owners that it may be installed for.
    pub install: Vec<OwnerKind>,
    /// What a caller without a credential sees of it.
    pub without_credential: WithoutCredential,
    /// Which protocol eras are used with it.
    pub era: EraChoice,
    /// Which callers may share an instance of the same owner.
    pub isolation: Isolation,
    /// When instances are started.
    pub start: StartMode,
    /// Timeouts and size limits.
    pub limits: Limits,
    /// Where an instance may connect to.
    pub egress: Egress,
}

/// How a server is started or reached.
#[derive(Clone, Debug)]
pub enum Launch {
    /// The orchestrator runs the server.
    Program(Program),
    /// The server runs elsewhere.
    Remote(Remote),
}

/// A server that the orchestrator runs: as a process by its command, or as a pod by its image, optionally with the
/// command in it.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// The command line. `None`: the image's entrypoint is run.
    pub command: Option<CommandLine>,
    /// The container image, for backends that run pods.
    pub image: Option<String>,
    /// Arguments for the image's entrypoint if there is no command.
    pub args: Vec<Text>,
    /// The transport that the program uses.
    pub transport: ProgramTransport,
    /// Pod settings; ignored by backends that run processes.
    pub container: Box<Container>,
}

/// A program and its arguments. An argument that came from a variable is typed as a secret.
#[derive(Clone, Debug)]
pub struct CommandLine {
    /// The program: a path, or a name that is looked up in `PATH`.
    pub program: String,
    /// Arguments. `${PORT}` is replaced with the port that an HTTP child must listen on.
    pub args: Vec<Text>,
    /// Working directory. `None`: that of this process.
    pub cwd: Option<PathBuf>,
}

/// The transport that a program uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProgramTransport {
    /// Newline-delimited messages on standard input and output.
    #[default]
    Stdio,
    /// Streamable HTTP.
    Http {
        /// The port that it listens on. `None`: a free port, passed as `${PORT}` in arguments and environment.
        port: Option<u16>,
        /// The path of the endpoint.
        path: String,
        /// Which process must own the port of a child process.
        owner: PortOwner,
    },
}

/// Which process must own the port of a `type: http` child before anything is sent to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PortOwner {
    /// The child or one of its descendants. Verified only on Linux, where the system reports the owner.
    #[default]
    Server,
    /// Any process: the port is published for the child by another process, such as a container engine. If another
    /// user of the machine takes the port first, that user receives what is meant for the server.
    Any,
}

/// A server that runs elsewhere. `Debug` shows its origin only, since path and query may hold a key.
#[derive(Clone)]
pub struct Remote {
    /// The URL of the endpoint.
    pub url: Uri,
    /// Headers sent with every request.
    pub headers: BTreeMap<String, Text>,
    /// The transport that the server uses.
    pub transport: RemoteTransport,
}

impl Remote {
    /// Returns scheme, host and port of the URL, which are safe to show.
    pub fn origin(&self) -> String {
        let scheme = self.url.scheme_str().unwrap_or_default();
        let host = self.url.host().unwrap_or_default();
        match self.url.port_u16() {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        }
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("url", &format_args!("{}/…", self.origin()))
            .field("headers", &self.headers)
            .field("transport", &self.transport)
            .finish()
    }
}

/// The transport that a remote server uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RemoteTransport {
    /// Streamable HTTP.
    #[default]
    StreamableHttp,
    /// HTTP+SSE (2024-11-05).
    Sse,
    /// Detected at each start: streamable HTTP, unless a POST is rejected and a GET opens a stream that begins like
    /// HTTP+SSE.
    Detect,
}

/// A secret that a server needs.
#[derive(Clone, Debug)]
pub struct CredentialSlot {
    /// The slot's name, unique within the server.
    pub name: SlotName,
    /// A description for the user who enters the value.
    pub description: Option<String>,
    /// If `true`, the server does not work without a value for this slot.
    pub required: bool,
    /// How the value is passed to the instance.
    pub inject: Injection,
    /// How the value is requested from the user.
    pub form: SlotForm,
}

/// How a slot's value is requested from the user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotForm {
    /// If `true`, the value is not secret and may be shown.
    pub plain: bool,
    /// The value used if the user gives no value.
    pub default: Option<String>,
    /// The allowed values. If empty, any value is allowed.
    pub choices: Vec<String>,
}

/// How a slot's value is passed to the instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Injection {
    /// As an environment variable.
    Env(String),
    /// As a file with this name in the instance's secrets directory.
    File {
        /// The file's name.
        name: String,
        /// The environment variable that holds the file's path.
        path_env: Option<String>,
    },
    /// As a request header, for remote and HTTP servers: `prefix` followed by the value.
    Header {
        /// The header's name.
        name: String,
        /// Text before the value, such as `Bearer `.
        prefix: String,
    },
}

/// Which protocol eras are used with a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EraChoice {
    /// Detected: a remote server that supports both eras is called in the caller's era; a pipe uses one era for its
    /// lifetime.
    #[default]
    Auto,
    /// Only the legacy era: `initialize` and sessions.
    Legacy,
    /// Only the modern era: stateless requests.
    Modern,
}

impl EraChoice {
    /// Returns the era if only one is allowed.
    pub fn only(self) -> Option<Era> {
        match self {
            Self::Auto => None,
            Self::Legacy => Some(Era::Legacy),
            Self::Modern => Some(Era::Modern),
        }
    }
}

/// Which callers may share an instance of the same owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// All callers that may use the owner's credential.
    #[default]
    Shared,
    /// Calls of one principal.
    Principal,
    /// Calls of one legacy session. Modern calls, which have no session, are isolated by principal.
    Session,
}

/// When instances are started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StartMode {
    /// At the first call that needs one.
    #[default]
    Lazy,
    /// Immediately, and again whenever the instance exits. Only for servers with one instance for all callers.
    Eager,
}

/// Where an instance may connect to. Enforced only by backends that support it (Kubernetes).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Egress {
    /// Anywhere.
    #[default]
    All,
    /// Anywhere except private addresses.
    Public,
    /// DNS and these networks (`cidr` or `cidr:port`).
    Only(Vec<String>),
    /// Nowhere.
    None,
}

impl ServerSpec {
    /// Creates a server with default settings.
    pub fn new(id: ServerId, launch: Launch) -> Self {
        Self {
            id,
            launch,
            backend: None,
            env: BTreeMap::new(),
            inherit_env: Vec::new(),
            slots: Vec::new(),
            oauth: None,
            install: OwnerKind::ALL.to_vec(),
            without_credential: WithoutCredential::default(),
            era: EraChoice::default(),
            isolation: Isolation::default(),
            start: StartMode::default(),
            limits: Limits::default(),
            egress: Egress::default(),
        }
    }

    /// Creates a server that runs this command and communicates over its standard streams.
    pub fn command<A: Into<Text>>(
        id: ServerId,
        program: impl Into<String>,
        args: impl IntoIterator<Item = A>,
    ) -> Self {
        let args = args.into_iter().map(Into::into).collect();
        let command = CommandLine {
            program: program.into(),
            args,
            cwd: None,
        };
        let program = Program {
            command: Some(command),
            ..Program::default()
        };
        Self::new(id, Launch::Program(program))
    }

    /// Creates a remote server with this URL.
    pub fn remote(id: ServerId, url: Uri) -> Self {
        let remote = Remote {
            url,
            headers: BTreeMap::new(),
            transport: RemoteTransport::default(),
        };
        Self::new(id, Launch::Remote(remote))
    }
}
