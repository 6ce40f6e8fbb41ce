//! What servers offer, as typed.

use clap::Args;

use super::SiteArgs;
use crate::complete;

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// Only those of this server, under their own names
    #[arg(add = complete::servers())]
    pub(crate) server: Option<String>,
    /// As this gateway shows them
    #[arg(
        long,
        add = complete::gateways(),
        value_name = "NAME",
        default_value = "default",
        conflicts_with = "server"
    )]
    pub(crate) gateway: String,
    #[command(flatten)]
    pub(crate) files: SiteArgs,
}

#[derive(Args, Debug)]
pub(crate) struct CallArgs {
    /// The server's name
    #[arg(add = complete::servers())]
    pub(crate) server: String,
    /// The tool's own name there
    pub(crate) tool: String,
    /// Read the arguments as a JSON object from standard input
    #[arg(value_name = "-", value_parser = ["-"])]
    pub(crate) stdin: Option<String>,
    /// A tool argument; non-string values are parsed as JSON
    #[arg(short, long = "arg", value_name = "KEY=VALUE", conflicts_with_all = ["json", "stdin"])]
    pub(crate) args: Vec<String>,
    /// All arguments as a JSON object
    #[arg(long, value_name = "OBJECT", conflicts_with = "stdin")]
    pub(crate) json: Option<String>,
    #[command(flatten)]
    pub(crate) files: SiteArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ExplainArgs {
    /// A tool, by the name that the gateway shows
    #[arg(required_unless_present_any = ["prompt", "resource"])]
    pub(crate) tool: Option<String>,
    /// A prompt instead, by the name that the gateway shows
    #[arg(long, value_name = "NAME", conflicts_with_all = ["tool", "resource"])]
    pub(crate) prompt: Option<String>,
    /// A resource instead
    #[arg(long, value_name = "URI", conflicts_with = "tool")]
    pub(crate) resource: Option<String>,
    /// Through which gateway
    #[arg(long, value_name = "NAME", default_value = "default", add = complete::gateways())]
    pub(crate) gateway: String,
    /// For whom; without it for the local user
    #[arg(long, value_name = "ID")]
    pub(crate) principal: Option<String>,
    #[command(flatten)]
    pub(crate) files: SiteArgs,
}
