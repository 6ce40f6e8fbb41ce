//! Changes and checks of the configuration, as typed.

use std::path::PathBuf;

use clap::Args;
use mcp_orchestrator_gateway::args::FileArgs;

use crate::complete;

#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// Learn what is not known yet: start servers whose lists are not kept, and ask them
    #[arg(long)]
    pub(crate) start: bool,
    #[command(flatten)]
    pub(crate) files: FileArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ConfigArgs {
    /// Only keys that begin so, e.g. servers.git
    #[arg(value_name = "KEY")]
    pub(crate) prefix: Option<String>,
    #[command(flatten)]
    pub(crate) files: FileArgs,
}

/// A server to be added: a program or an address, and what it needs.
#[derive(Args, Debug)]
pub(crate) struct AddArgs {
    /// The server's name: lower-case letters, digits and `-`
    pub(crate) name: String,
    /// The program and its arguments: all that follows belongs to it, so it stands last
    #[arg(long, value_name = "PROGRAM", num_args = 1.., allow_hyphen_values = true,
        required_unless_present_any = ["url", "program"], conflicts_with_all = ["url", "program"])]
    pub(crate) command: Vec<String>,
    /// The address of a server that runs elsewhere
    #[arg(long, conflicts_with = "program")]
    pub(crate) url: Option<String>,
    /// An environment variable; ${NAME} in the value is filled in when the gateway reads the file
    #[arg(short, long, value_name = "NAME=VALUE", conflicts_with = "url")]
    pub(crate) env: Vec<String>,
    /// A header that is sent with every request
    #[arg(long, value_name = "NAME=VALUE", requires = "url")]
    pub(crate) header: Vec<String>,
    /// A secret environment variable: from env:VARIABLE, file:PATH, or - for standard input
    #[arg(long, value_name = "NAME=SOURCE", conflicts_with = "url")]
    pub(crate) secret_env: Vec<String>,
    /// A secret header, from the same sources
    #[arg(long, value_name = "NAME=SOURCE", requires = "url")]
    pub(crate) secret_header: Vec<String>,
    /// A bearer token for the address, from the same sources
    #[arg(long, value_name = "SOURCE", requires = "url")]
    pub(crate) bearer: Option<String>,
    /// Take the place of a server of this name
    #[arg(long)]
    pub(crate) replace: bool,
    #[command(flatten)]
    pub(crate) files: FileArgs,
    /// The program and its arguments, as another way to write --command
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) program: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct RemoveArgs {
    /// The server's name
    #[arg(add = complete::servers())]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) files: FileArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ImportArgs {
    /// The file of the other program, or a server.json of the registry: a file or its address
    pub(crate) file: PathBuf,
    /// What the server is called, where the file has one
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Only this server of the file; may be given more than once
    #[arg(long, value_name = "NAME")]
    pub(crate) server: Vec<String>,
    /// Do not ask; agrees to everything that is listed as a risk
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Copy the values of `env` and `headers` instead of naming variables
    #[arg(long)]
    pub(crate) keep_values: bool,
    /// Take the place of servers of the same names
    #[arg(long)]
    pub(crate) replace: bool,
    #[command(flatten)]
    pub(crate) files: FileArgs,
}
