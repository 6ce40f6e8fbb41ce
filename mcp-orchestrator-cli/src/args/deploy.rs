//! Arguments of `quickstart` and `purge`.

use clap::{Args, ValueEnum};
use mcp_orchestrator_gateway::args::{FileArgs, GatewayArgs};

#[derive(Args, Debug)]
pub(crate) struct QuickstartArgs {
    /// Name of the kind cluster; created if it does not exist
    #[arg(long, value_name = "NAME", default_value = "mcp-orchestrator", value_parser = cluster_name)]
    pub(crate) name: String,
    /// Image of the gateway; loaded into the cluster if Docker has it, otherwise pulled by the cluster
    #[arg(long, value_name = "IMAGE")]
    pub(crate) image: Option<String>,
    /// Run the gateway in this place, regardless of what is available
    #[arg(long = "in", value_enum, value_name = "PLACE")]
    pub(crate) place: Option<Place>,
    #[command(flatten)]
    pub(crate) gateway: GatewayArgs,
}

/// Where `quickstart` runs the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Place {
    /// In a kind cluster
    Kind,
    /// On this machine, until interrupted
    Here,
}

/// Parses a cluster name that kind accepts and that cannot be mistaken for an option.
fn cluster_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    let begins = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    match begins && text.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err("lower-case letters, digits, `-` and `.` make a name".to_owned()),
    }
}

#[derive(Args, Debug)]
pub(crate) struct PurgeArgs {
    /// Do not ask for confirmation
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Delete only the cluster objects of the orchestrator with this name, for use without a configuration
    #[arg(long, value_name = "NAME", conflicts_with_all = ["config", "state_dir"])]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) files: FileArgs,
}
