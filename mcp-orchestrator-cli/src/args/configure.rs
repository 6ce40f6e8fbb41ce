//! Arguments of commands that change or check the configuration.

use std::path::PathBuf;

use clap::Args;
use mcp_orchestrator_gateway::args::FileArgs;

use crate::complete;

#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// Start servers without cached lists and fetch their lists
    #[arg(long)]
    pub(crate) start: bool,
    #[command(flatten)]
    pub(crate) files: FileArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ConfigArgs {
    /// Show only this key and the keys below it, e.g. servers.git
    #[arg(value_name = "KEY")]
    pub(crate) prefix: Option<String>,
    #[command(flatten)]
    pub(crate) files: FileArgs,
}

/// A server to add: a program or a URL, and what it needs.
#[derive(Args, Debug)]
pub(crate) struct AddArgs {
    /// Name of the server: lower-case letters, digits and `-`
    pub(crate) name: String,
    /// Program and its arguments; must be the last option
    #[arg(long, value_name = "PROGRAM", num_args = 1.., allow_hyphen_values = true,
        required_unless_present_any = ["url", "program"], conflicts_with_all = ["url", "program"])]
    pub(crate) command: Vec<String>,
    /// URL of a remote server
    #[arg(long, conflicts_with = "program")]
    pub(crate) url: Option<String>,
    /// Environment variable; ${NAME} in the value is expanded when the gateway reads the file
    #[arg(short, long, value_name = "NAME=VALUE", conflicts_with = "url")]
    pub(crate) env: Vec<String>,
    /// Header to send with every request
    #[arg(long, value_name = "NAME=VALUE", requires = "url")]
    pub(crate) header: Vec<String>,
    /// Secret environment variable: from env:VARIABLE, file:PATH, or - for standard input
    #[arg(long, value_name = "NAME=SOURCE", conflicts_with = "url")]
    pub(crate) secret_env: Vec<String>,
    /// Secret header, from the same sources
    #[arg(long, value_name = "NAME=SOURCE", requires = "url")]
    pub(crate) secret_header: Vec<String>,
    /// Bearer token for the URL, from the same sources
    #[arg(long, value_name = "SOURCE", requires = "url")]
    pub(crate) bearer: Option<String>,
    /// Replace an existing server of this name
    #[arg(long)]
    pub(crate) replace: bool,
    #[command(flatten)]
    pub(crate) files: FileArgs,
    /// Program and its arguments, as an alternative to --command
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) program: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct RemoveArgs {
    /// Name of the server
    #[arg(add = complete::servers())]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) files: FileArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ImportArgs {
    /// File of another program, or server.json of a registry: a path or a URL
    pub(crate) file: PathBuf,
    /// Name for the imported server, if the file contains only one
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Import only this server; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) server: Vec<String>,
    /// Do not ask for confirmation; accept all listed risks
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Copy the values of `env` and `headers` instead of referring to variables
    #[arg(long)]
    pub(crate) keep_values: bool,
    /// Replace existing servers of the same names
    #[arg(long)]
    pub(crate) replace: bool,
    #[command(flatten)]
    pub(crate) files: FileArgs,
}
