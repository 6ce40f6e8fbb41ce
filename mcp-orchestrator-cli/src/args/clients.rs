//! Arguments of `connect` and `disconnect`.

use std::path::PathBuf;

use clap::Args;

use crate::clients::ClientName;
use crate::site_args::SiteArgs;

#[derive(Args, Debug)]
pub(crate) struct ConnectArgs {
    /// Client to connect; without it, list all clients and their state
    #[arg(value_enum)]
    pub(crate) client: Option<ClientName>,
    /// Write the entry into the client's file; everything else in it is kept
    #[arg(long, requires = "client")]
    pub(crate) write: bool,
    /// Path of the client's file, if not the default one
    #[arg(long, value_name = "FILE", requires = "client")]
    pub(crate) file: Option<PathBuf>,
    /// Name of the gateway
    #[arg(long, value_name = "NAME", default_value = "default", add = crate::complete::gateways())]
    pub(crate) gateway: String,
    /// Name of the entry in the client
    #[arg(long, default_value = "mcp-orchestrator")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) files: SiteArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DisconnectArgs {
    /// Client to disconnect
    #[arg(value_enum)]
    pub(crate) client: ClientName,
    /// Path of the client's file, if not the default one
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Name of the entry in the client
    #[arg(long, default_value = "mcp-orchestrator")]
    pub(crate) name: String,
}
