//! The catalog's nouns: a server, how it is launched, what secrets it needs, who may share an instance of it.

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
use crate::credential::OwnerKind;
use crate::id::{BackendName, ServerId, SlotName};
use crate::protocol::Era;
use crate::value::Text;

mod container;
mod declared;
mod digest;
mod limits;
mod oauth;

/// One MCP server of the catalog.
#[derive(Clone, Debug)]
pub struct ServerSpec {
    /// Its name.
    pub id: ServerId,
    /// How it comes to run, or where it runs already.
    pub launch: Launch,
    /// Where it runs, by the name of a backend; none: where programs run by default.
    pub backend: Option<BackendName>,
    /// What its environment holds besides the few inherited variables.
    pub env: BTreeMap<String, Text>,
    /// Variables of our own environment that a child process gets too.
    pub inherit_env: Vec<String>,
    /// The secrets that it needs; none means one instance for all.
    pub slots: Vec<CredentialSlot>,
    /// How the token of one of its slots is obtained by OAuth; `None`: whoever installs it gives all values.
    pub oauth: Option<OAuthSpec>,
    /// For whom it may be installed.
    pub install: Vec<OwnerKind>,
    /// What a caller without a credential is shown of it.
    pub without_credential: WithoutCredential,
    /// Which dialects it is spoken to in.
    pub era: EraChoice,
    /// Who may share one instance of the same owner.
    pub isolation: Isolation,
    /// When its instances start.
    pub start: StartMode,
    /// Times and sizes.
    pub limits: Limits,
    /// Where it may connect to.
    pub egress: Egress,
}

/// How a server comes to run.
#[derive(Clone, Debug)]
pub enum Launch {
    /// We run it.
    Program(Program),
    /// It runs elsewhere.
    Remote(Remote),
}

/// A server that we run: as a process by its command, as a pod by its image (with the command in it).
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// Program and arguments.
    pub command: Option<CommandLine>,
    /// A container image.
    pub image: Option<String>,
    /// Arguments of the image's own program, where there is no command.
    pub args: Vec<Text>,
    /// How it is spoken to.
    pub transport: ProgramTransport,
    /// How it stands in a pod; backends that run processes pass it over.
    pub container: Box<Container>,
}

/// A program and its arguments. An argument that came from a variable is a secret by type.
#[derive(Clone, Debug)]
pub struct CommandLine {
    /// The program: a path, or a name that is looked up in PATH.
    pub program: String,
    /// Its arguments; `${PORT}` in one becomes the port that an HTTP child is to listen on.
    pub args: Vec<Text>,
    /// Its working directory; ours where none is given.
    pub cwd: Option<PathBuf>,
}

/// How a program is spoken to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProgramTransport {
    /// Lines on its standard input and output.
    #[default]
    Stdio,
    /// Streamable HTTP.
    Http {
        /// The port it listens on; none: a free one is given to it as `${PORT}` (argument and environment).
        port: Option<u16>,
        /// The path of its endpoint.
        path: String,
        /// Whose process must answer on the port of a child process.
        owner: PortOwner,
    },
}

/// Whose process must answer on the port of a `type: http` child, before anything is sent to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PortOwner {
    /// The child's, or that of a descendant. Checked where the system can tell: on Linux.
    #[default]
    Server,
    /// Any: something else publishes the port for the child, as a container engine does. Another user of the machine
    /// who takes the port first receives what is meant for the server.
    Any,
}

/// A server that runs elsewhere. Debug shows its origin alone: path and query of an address may hold a key.
#[derive(Clone)]
pub struct Remote {
    /// The address of its endpoint.
    pub url: Uri,
    /// Sent with every request.
    pub headers: BTreeMap<String, Text>,
    /// How it is spoken to.
    pub transport: RemoteTransport,
}

impl Remote {
    /// Scheme, host and port of its address: what may be shown of it.
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

/// How a remote server is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RemoteTransport {
    /// Streamable HTTP.
    #[default]
    StreamableHttp,
    /// HTTP+SSE of 2024-11-05.
    Sse,
}

/// One secret that a server needs.
#[derive(Clone, Debug)]
pub struct CredentialSlot {
    /// Its name, unique in the server.
    pub name: SlotName,
    /// What a person is told who shall give it.
    pub description: Option<String>,
    /// Whether the server works without it.
    pub required: bool,
    /// How it reaches the instance.
    pub inject: Injection,
    /// What is asked of the person who gives it.
    pub form: SlotForm,
}

/// What is asked of the person who gives a slot's value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotForm {
    /// It is no secret: it may be shown, and is asked for openly.
    pub plain: bool,
    /// What counts where nothing is given.
    pub default: Option<String>,
    /// What may be given; empty: anything.
    pub choices: Vec<String>,
}

/// How a slot's value reaches the instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Injection {
    /// As an environment variable.
    Env(String),
    /// As a file of this name in the instance's secrets folder, whose path stands in the named variable.
    File {
        /// The file's name.
        name: String,
        /// The variable that tells its path.
        path_env: Option<String>,
    },
    /// As a request header (remote and HTTP servers): `prefix` and the value.
    Header {
        /// The header's name.
        name: String,
        /// What stands before the value, as `Bearer `.
        prefix: String,
    },
}

/// Which dialects a server is spoken to in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EraChoice {
    /// What it answers to: a remote server in the caller's era where it speaks both, a pipe in one for life.
    #[default]
    Auto,
    /// `initialize` and sessions only.
    Legacy,
    /// Stateless only.
    Modern,
}

impl EraChoice {
    /// The one era that is allowed, where only one is.
    pub fn only(self) -> Option<Era> {
        match self {
            Self::Auto => None,
            Self::Legacy => Some(Era::Legacy),
            Self::Modern => Some(Era::Modern),
        }
    }
}

/// Who may share one instance of the same owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// All who may use that owner's credential.
    #[default]
    Shared,
    /// One principal.
    Principal,
    /// One legacy session; for a modern caller its principal.
    Session,
}

/// When instances start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StartMode {
    /// At the first call that needs one.
    #[default]
    Lazy,
    /// At once, and again whenever it ends (servers with one instance for all only).
    Eager,
}

/// Where an instance may connect to. Enforced by backends that can (Kubernetes).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Egress {
    /// Anywhere.
    #[default]
    All,
    /// Anywhere but private addresses.
    Public,
    /// DNS and these networks (`cidr` or `cidr:port`).
    Only(Vec<String>),
    /// Nowhere.
    None,
}

impl ServerSpec {
    /// A server with this name and launch, and defaults for all else.
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

    /// A server that runs this command and speaks on its standard streams.
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

    /// A remote server at this address.
    pub fn remote(id: ServerId, url: Uri) -> Self {
        let remote = Remote {
            url,
            headers: BTreeMap::new(),
            transport: RemoteTransport::default(),
        };
        Self::new(id, Launch::Remote(remote))
    }
}
