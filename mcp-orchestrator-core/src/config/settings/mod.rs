//! The resolved configuration: checked, merged, and completed with defaults. It starts nothing.

pub(crate) mod audit;
pub(crate) mod auth;
pub(crate) mod backends;
pub(crate) mod credentials;
pub(crate) mod gateway;
pub(crate) mod log;
pub(crate) mod outbound;
pub(crate) mod store;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use self::audit::AuditSettings;
use self::auth::AuthSettings;
use self::backends::{BackendSettings, KubernetesSettings};
use self::credentials::ConfiguredCredential;
use self::gateway::GatewaySettings;
use self::log::LogSettings;
use self::outbound::OutboundSettings;
use self::store::StoreSettings;
use crate::auth::People;
use crate::fetch::AllowedPrivate;
use crate::id::{GatewayId, ServerId};
use crate::server::ServerSpec;

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
