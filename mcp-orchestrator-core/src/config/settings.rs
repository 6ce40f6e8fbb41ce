//! The configuration as meant: checked, merged, with defaults. It starts nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use super::file::LogFormat;
use crate::id::{GatewayId, ServerId, SlotName};
use crate::router::{ToolNames, ViewEntry};
use crate::server::ServerSpec;
use crate::value::Text;

/// What the files say together.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The catalog, in the order of the files, by name within each.
    pub servers: Vec<Arc<ServerSpec>>,
    /// The gateways: the default one first, the others by name.
    pub gateways: Vec<GatewaySettings>,
    /// Where the values of the servers' credential slots come from. A slot without a source is not here.
    pub credentials: Vec<ConfiguredCredential>,
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
    /// How the programs log.
    pub log: LogSettings,
    /// The files, as they were named: what a reload watches.
    pub files: Vec<PathBuf>,
}

/// A gateway and what it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewaySettings {
    /// Its name.
    pub id: GatewayId,
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
