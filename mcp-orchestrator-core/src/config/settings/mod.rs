//! The resolved configuration: checked, merged, and completed with defaults. It starts nothing.

pub(crate) mod audit;
pub(crate) mod auth;
pub(crate) mod outbound;
pub(crate) mod store;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use self::audit::AuditSettings;
use self::auth::AuthSettings;
use self::outbound::OutboundSettings;
use self::store::StoreSettings;
use crate::auth::People;
use crate::config::schema::file::LogFormat;
use crate::credential::SecretPlace;
use crate::fetch::AllowedPrivate;
use crate::id::{BackendName, GatewayId, ServerId, SlotName};
use crate::router::{Members, ToolNames, ViewEntry};
use crate::server::ServerSpec;
use crate::value::Text;

/// The settings of all files together.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The servers, in the order of the files, by name within each file.
    pub servers: Vec<Arc<ServerSpec>>,
    /// The gateways: the default one first, the others by name.
    pub gateways: Vec<GatewaySettings>,
    /// The members of the teams, and the admins.
    pub people: People,
    /// The sources of the servers' credential slots. Slots without a source are not listed.
    pub credentials: Vec<ConfiguredCredential>,
    /// The cluster of the Secrets that credentials name. It is contacted only if one does.
    pub secrets: KubernetesSettings,
    /// Where installed credentials and tokens are stored.
    pub store: StoreSettings,
    /// Where programs run.
    pub backends: BackendSettings,
    /// The directory for state that outlives a restart.
    pub state_dir: PathBuf,
    /// The listen address of the gateway.
    pub listen: SocketAddr,
    /// The listen address for metrics; `None` disables them.
    pub metrics_listen: Option<SocketAddr>,
    /// Allowed origins in addition to local ones.
    pub allowed_origins: Vec<String>,
    /// Allowed hosts in addition to local ones.
    pub allowed_hosts: Vec<String>,
    /// Maximum size of a request body in bytes.
    pub max_body_bytes: usize,
    /// Authentication, and the gateway's position on the network.
    pub auth: AuthSettings,
    /// Private and unencrypted addresses that may be contacted although a server or an issuer names them.
    pub allow_private: Vec<AllowedPrivate>,
    /// How connections to remote servers and issuers are made.
    pub outbound: OutboundSettings,
    /// The sinks of the audit log.
    pub audit: AuditSettings,
    /// Format and level of the log.
    pub log: LogSettings,
    /// The files, as named; a reload watches them.
    pub files: Vec<PathBuf>,
}

/// A backend that runs programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackendKind {
    /// Processes on the gateway's machine.
    #[default]
    Process,
    /// Pods of a Kubernetes cluster.
    Kubernetes,
}

impl BackendKind {
    /// Returns its name in a file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Kubernetes => "kubernetes",
        }
    }

    /// Returns the name that servers use for it.
    ///
    /// # Panics
    /// Never: its names are valid.
    pub fn name(self) -> BackendName {
        BackendName::new(self.as_str()).expect("the word is a name")
    }

    /// Returns `true` if this program was built with it.
    pub fn is_built_in(self) -> bool {
        match self {
            Self::Process => cfg!(all(unix, feature = "process")),
            Self::Kubernetes => cfg!(feature = "kubernetes"),
        }
    }
}

impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where programs run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendSettings {
    /// The backend of programs that name none.
    pub default: BackendKind,
    /// `true` if processes may be started.
    pub processes: bool,
    /// The cluster, if anything runs there.
    pub kubernetes: Option<KubernetesSettings>,
}

/// A cluster, and defaults for all pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubernetesSettings {
    /// The configured kubeconfig file.
    pub kubeconfig: Option<PathBuf>,
    /// The configured context.
    pub context: Option<String>,
    /// The configured namespace.
    pub namespace: Option<String>,
    /// The orchestrator's name, set on all its objects.
    pub name: String,
    /// The configured image for commands without an image. The specs of servers contain it already.
    pub base_image: Option<String>,
    /// The configured labels of the gateway's own pods.
    pub gateway: BTreeMap<String, String>,
}

impl Default for KubernetesSettings {
    fn default() -> Self {
        Self {
            kubeconfig: None,
            context: None,
            namespace: None,
            name: Self::NAME.to_owned(),
            base_image: None,
            gateway: BTreeMap::new(),
        }
    }
}

impl KubernetesSettings {
    /// The default name of the orchestrator.
    pub const NAME: &str = "mcp-orchestrator";
}

/// A gateway and what it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewaySettings {
    /// Its name.
    pub id: GatewayId,
    /// The principals that may use it.
    pub members: Members,
    /// How it names tools and prompts.
    pub tool_names: ToolNames,
    /// Its servers, in order.
    pub servers: Vec<ViewEntry>,
}

/// The source of a server's credential slot.
#[derive(Clone, Debug)]
pub struct ConfiguredCredential {
    /// The server that the slot belongs to.
    pub server: ServerId,
    /// The slot.
    pub slot: SlotName,
    /// The source of its value.
    pub source: CredentialSource,
}

/// The source of a value.
#[derive(Clone, Debug)]
pub enum CredentialSource {
    /// The configuration; always [`Text::Secret`].
    Value(Text),
    /// An environment variable of this process, read when it is needed.
    Env(String),
    /// A file, read when it is needed.
    File(PathBuf),
    /// A Secret of the cluster, read when it is needed.
    Secret(SecretPlace),
}

/// Format and level of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// The format.
    pub format: LogFormat,
    /// A level or a filter.
    pub level: String,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: "info".to_owned(),
        }
    }
}

impl Settings {
    /// The default listen address of the gateway.
    pub const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

    /// The default maximum size of a request body in bytes.
    pub const MAX_BODY_BYTES: usize = 16 << 20;

    /// Returns a server by its name.
    pub fn server(&self, id: &ServerId) -> Option<&Arc<ServerSpec>> {
        self.servers.iter().find(|server| server.id == *id)
    }

    /// Returns a gateway by its name.
    pub fn gateway(&self, id: &GatewayId) -> Option<&GatewaySettings> {
        self.gateways.iter().find(|gateway| gateway.id == *id)
    }
}
