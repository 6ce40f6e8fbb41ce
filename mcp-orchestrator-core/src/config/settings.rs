//! The configuration as meant: checked, merged, with defaults. It starts nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use super::audit::AuditSettings;
use super::auth::AuthSettings;
use super::file::LogFormat;
use super::outbound::OutboundSettings;
use super::stores::StoreSettings;
use crate::auth::People;
use crate::credential::SecretPlace;
use crate::fetch::AllowedPrivate;
use crate::id::{BackendName, GatewayId, ServerId, SlotName};
use crate::router::{Members, ToolNames, ViewEntry};
use crate::server::ServerSpec;
use crate::value::Text;

/// What the files say together.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The catalog, in the order of the files, by name within each.
    pub servers: Vec<Arc<ServerSpec>>,
    /// The gateways: the default one first, the others by name.
    pub gateways: Vec<GatewaySettings>,
    /// Who is in which team, and who administers.
    pub people: People,
    /// Where the values of the servers' credential slots come from. A slot without a source is not here.
    pub credentials: Vec<ConfiguredCredential>,
    /// The cluster whose Secrets they may name. It is asked for nothing where none of them does.
    pub secrets: KubernetesSettings,
    /// Where what is installed is kept, and tokens.
    pub store: StoreSettings,
    /// Where programs run.
    pub backends: BackendSettings,
    /// The folder for what outlives a restart.
    pub state_dir: PathBuf,
    /// Where the gateway listens.
    pub listen: SocketAddr,
    /// Where metrics are served; `None`: nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// Origins that are allowed besides local ones.
    pub allowed_origins: Vec<String>,
    /// Hosts that are allowed besides local ones.
    pub allowed_hosts: Vec<String>,
    /// The largest request body.
    pub max_body_bytes: usize,
    /// Who may call, and how the gateway stands on a network.
    pub auth: AuthSettings,
    /// What may be asked that is private or without TLS, where a server or an issuer names the address.
    pub allow_private: Vec<AllowedPrivate>,
    /// How connections to remote servers and issuers are made.
    pub outbound: OutboundSettings,
    /// Where it is told who did what.
    pub audit: AuditSettings,
    /// How the programs log.
    pub log: LogSettings,
    /// The files, as they were named: what a reload watches.
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
    /// Its word in a file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Kubernetes => "kubernetes",
        }
    }

    /// The name under which servers name it.
    ///
    /// # Panics
    /// Never: its words are names.
    pub fn name(self) -> BackendName {
        BackendName::new(self.as_str()).expect("the word is a name")
    }

    /// Whether this program was built with it.
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
    /// Those that name no backend.
    pub default: BackendKind,
    /// Whether processes may be started.
    pub processes: bool,
    /// The cluster, where anything runs there.
    pub kubernetes: Option<KubernetesSettings>,
}

/// A cluster, and what holds for all pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubernetesSettings {
    /// The kubeconfig file that is named.
    pub kubeconfig: Option<PathBuf>,
    /// The context that is named.
    pub context: Option<String>,
    /// The namespace that is named.
    pub namespace: Option<String>,
    /// The orchestrator's name, on all its objects.
    pub name: String,
    /// The image in which a command without one runs, where it is named. Servers have it in their spec already.
    pub base_image: Option<String>,
    /// Labels of the gateway's own pods, where they are named.
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
    /// The orchestrator's name if nothing else is said.
    pub const NAME: &str = "mcp-orchestrator";
}

/// A gateway and what it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewaySettings {
    /// Its name.
    pub id: GatewayId,
    /// Who may use it.
    pub members: Members,
    /// How it names tools and prompts.
    pub tool_names: ToolNames,
    /// Its servers, in order.
    pub servers: Vec<ViewEntry>,
}

/// Where the value of a server's slot comes from.
#[derive(Clone, Debug)]
pub struct ConfiguredCredential {
    /// Whose slot.
    pub server: ServerId,
    /// Which slot.
    pub slot: SlotName,
    /// From where.
    pub source: CredentialSource,
}

/// From where a value is taken.
#[derive(Clone, Debug)]
pub enum CredentialSource {
    /// The configuration; always [`Text::Secret`].
    Value(Text),
    /// This variable of our own environment, read when it is needed.
    Env(String),
    /// This file, read when it is needed.
    File(PathBuf),
    /// A Secret of the cluster, read when it is needed.
    Secret(SecretPlace),
}

/// How the programs log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// In which form.
    pub format: LogFormat,
    /// Which messages: a level or a filter.
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
    /// Where the gateway listens if nothing else is said.
    pub const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

    /// The largest request body if nothing else is said.
    pub const MAX_BODY_BYTES: usize = 16 << 20;

    /// A server by its name.
    pub fn server(&self, id: &ServerId) -> Option<&Arc<ServerSpec>> {
        self.servers.iter().find(|server| server.id == *id)
    }

    /// A gateway by its name.
    pub fn gateway(&self, id: &GatewayId) -> Option<&GatewaySettings> {
        self.gateways.iter().find(|gateway| gateway.id == *id)
    }
}
