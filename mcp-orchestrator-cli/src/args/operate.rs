//! Arguments of commands that list or call what servers offer.

use clap::Args;

use crate::complete;
use crate::site_args::SiteArgs;

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// List only this server, with its own names
    #[arg(add = complete::servers())]
    pub(crate) server: Option<String>,
    /// List what this gateway exposes
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
    /// Name of the server
    #[arg(add = complete::servers())]
    pub(crate) server: String,
    /// Name of the tool at the server
    pub(crate) tool: Option<String>,
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
    /// Tool to explain, by the name that the gateway exposes
    #[arg(required_unless_present_any = ["prompt", "resource"])]
    pub(crate) tool: Option<String>,
    /// Prompt to explain instead, by the name that the gateway exposes
    #[arg(long, value_name = "NAME", conflicts_with_all = ["tool", "resource"])]
    pub(crate) prompt: Option<String>,
    /// Resource to explain instead
    #[arg(long, value_name = "URI", conflicts_with = "tool")]
    pub(crate) resource: Option<String>,
    /// Name of the gateway
    #[arg(long, value_name = "NAME", default_value = "default", add = complete::gateways())]
    pub(crate) gateway: String,
    /// Principal to explain for; without it, the local user
    #[arg(long, value_name = "ID")]
    pub(crate) principal: Option<String>,
    #[command(flatten)]
    pub(crate) files: SiteArgs,
}
