//! Command-line arguments.

mod clients;
mod configure;
mod credentials;
mod deploy;
mod help;
mod operate;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use mcp_orchestrator_gateway::args::GatewayArgs;

pub(crate) use self::clients::{ConnectArgs, DisconnectArgs};
pub(crate) use self::configure::{AddArgs, CheckArgs, ConfigArgs, ImportArgs, RemoveArgs};
pub(crate) use self::credentials::{
    InstallArgs, OwnedArgs, TokenArgs, TokenCommand, TokenCreateArgs,
};
pub(crate) use self::deploy::{Place, PurgeArgs, QuickstartArgs};
pub(crate) use self::help::command;
pub(crate) use self::operate::{CallArgs, ExplainArgs, ListArgs};
use crate::complete;
use crate::site_args::SiteArgs;

/// Runs MCP servers behind one endpoint
#[derive(Parser, Debug)]
#[command(name = "mcp-orchestrator", version, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong arguments or configuration, \
    3 no gateway is running, 4 the tool's result is an error, 130 interrupted"
)]
pub(crate) struct Cli {
    /// Output format
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
    /// Do not truncate tables to the width of the terminal
    #[arg(long, global = true)]
    pub(crate) wide: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Text and tables
    Table,
    /// JSON
    Json,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Run the gateway until it is interrupted
    Up(GatewayArgs),
    /// Run the gateway in a kind cluster, or on this machine without one
    Quickstart(QuickstartArgs),
    /// Be a small MCP server on the standard streams
    #[command(hide = true)]
    HelloServer,
    /// List servers and their instances
    Ps(PsArgs),
    /// List the tools of a gateway or a server
    Tools(ListArgs),
    /// List the prompts of a gateway or a server
    Prompts(ListArgs),
    /// List the resources and templates of a gateway or a server
    Resources(ListArgs),
    /// Call a tool; without a running gateway, run its server for this call only
    Call(CallArgs),
    /// Show a server's output
    Logs(LogsArgs),
    /// Show details of a server's instances, or of one instance
    Describe(DescribeArgs),
    /// Restart a server's running instances
    Restart(ServerArgs),
    /// Stop a server's instances until the next call
    Stop(ServerArgs),
    /// Reload the configuration of the running gateway
    Reload(SiteArgs),
    /// Add a server to the configuration file
    Add(AddArgs),
    /// Remove a server from the configuration file
    Remove(RemoveArgs),
    /// Import servers from another program's file or from a registry
    Import(ImportArgs),
    /// Show how a client connects to the gateway, or write it into the client's file
    Connect(ConnectArgs),
    /// Remove the gateway from a client's file
    Disconnect(DisconnectArgs),
    /// Validate the configuration and report unhealthy servers
    Check(CheckArgs),
    /// Show the effective configuration, and where each value comes from
    Config(ConfigArgs),
    /// Explain how a call would be routed, without starting anything
    Explain(ExplainArgs),
    /// Delete everything an orchestrator has stored on this machine and in its cluster
    Purge(PurgeArgs),
    /// Create, list and revoke access tokens
    Token(TokenArgs),
    /// List servers that need a credential, and what they need
    Catalog(SiteArgs),
    /// Install a credential; it is tested before it is stored
    Install(InstallArgs),
    /// Replace an installed credential
    Rotate(InstallArgs),
    /// Remove an installed credential and stop the instances that use it
    Uninstall(OwnedArgs),
    /// List installed credentials and their owners
    Installations(SiteArgs),
    /// Print the version
    Version,
    /// Print the JSON Schema of the configuration
    Schema,
    /// Print the completion script of a shell
    Completions {
        /// Shell to print the script for
        shell: Shell,
    },
}

#[derive(Args, Debug)]
pub(crate) struct PsArgs {
    /// Refresh every two seconds until interrupted
    #[arg(short, long)]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) files: SiteArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ServerArgs {
    /// Name of the server
    #[arg(add = complete::servers())]
    pub(crate) server: String,
    #[command(flatten)]
    pub(crate) files: SiteArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DescribeArgs {
    /// Name of a server, or of an instance as shown by `ps`
    #[arg(add = complete::instances())]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) files: SiteArgs,
}

#[derive(Args, Debug)]
pub(crate) struct LogsArgs {
    /// Name of the server
    #[arg(add = complete::servers())]
    pub(crate) server: String,
    /// Follow new output
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Number of lines to show from the end
    #[arg(short = 'n', long, value_name = "LINES")]
    pub(crate) tail: Option<usize>,
    /// Show the output of the previous run
    #[arg(long)]
    pub(crate) previous: bool,
    /// Instance to show, as named by `ps`; without it, the latest one
    #[arg(long, value_name = "NAME", add = complete::instances())]
    pub(crate) instance: Option<String>,
    #[command(flatten)]
    pub(crate) files: SiteArgs,
}
