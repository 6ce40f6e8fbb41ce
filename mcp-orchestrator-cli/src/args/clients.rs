//! Which client, and its file.

use std::path::PathBuf;

use clap::Args;

use super::SiteArgs;
use crate::clients::ClientName;

#[derive(Args, Debug)]
pub(crate) struct ConnectArgs {
    /// Which client; without one, all clients and whether each is installed and connected
    #[arg(value_enum)]
    pub(crate) client: Option<ClientName>,
    /// Write it into the client's file; everything else in it stays
    #[arg(long, requires = "client")]
    pub(crate) write: bool,
    /// The client's file, if it is not at its usual place
    #[arg(long, value_name = "FILE", requires = "client")]
    pub(crate) file: Option<PathBuf>,
    /// Which gateway
    #[arg(long, value_name = "NAME", default_value = "default", add = crate::complete::gateways())]
    pub(crate) gateway: String,
    /// Under which name the client shows it
    #[arg(long, default_value = "mcp-orchestrator")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) files: SiteArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DisconnectArgs {
    /// Which client
    #[arg(value_enum)]
    pub(crate) client: ClientName,
    /// The client's file, where it is not at its usual place
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Under which name the client shows it
    #[arg(long, default_value = "mcp-orchestrator")]
    pub(crate) name: String,
}
