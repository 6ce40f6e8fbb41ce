//! The command line as typed.

mod clients;
mod deploy;
mod site;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use mcp_orchestrator_gateway::args::{FileArgs, GatewayArgs};

pub(crate) use self::clients::{ConnectArgs, DisconnectArgs};
pub(crate) use self::deploy::{Place, PurgeArgs, QuickstartArgs};
pub(crate) use self::site::{ElsewhereArgs, SiteArgs, lifted};

/// Runs MCP servers behind one endpoint
#[derive(Parser, Debug)]
#[command(name = "mcp-orchestrator", version, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong arguments or configuration, \
    3 no gateway is running, 4 the tool's result is an error, 130 interrupted"
)]
pub(crate) struct Cli {
    /// How results are printed
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
    /// Do not cut tables to the width of the terminal
    #[arg(long, global = true)]
    pub(crate) wide: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    Table,
    /// For programs
    Json,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Run the gateway until it is interrupted
    Up(GatewayArgs),
    /// Run the gateway in a kind cluster where kind and Docker are there, else on this machine
    Quickstart(QuickstartArgs),
    /// Be a small MCP server on the standard streams
    #[command(hide = true)]
    HelloServer,
    /// Show the servers and their instances
    Ps(PsArgs),
    /// Show the tools of a server, or those that a gateway shows
    Tools(ToolsArgs),
    /// Call a tool of a server; without a running gateway the server runs for this call alone
    Call(CallArgs),
    /// Show a server's output
    Logs(LogsArgs),
    /// Show details of a server's instances, or of one instance
    Describe(DescribeArgs),
    /// Start a server's running instances anew
    Restart(ServerArgs),
    /// Put a server's instances to rest until the next call
    Stop(ServerArgs),
    /// Make the running gateway read its configuration again
    Reload(SiteArgs),
    /// Add a server to the configuration file
    Add(AddArgs),
    /// Take a server out of the configuration file
    Remove(RemoveArgs),
    /// Take over the servers of another program's file, as .mcp.json, or one of the registry (server.json)
    Import(ImportArgs),
    /// Print what a client needs to use the gateway, or write it into the client's file
    Connect(ConnectArgs),
    /// Take the gateway out of a client's file
    Disconnect(DisconnectArgs),
    /// Validate the configuration and report unhealthy servers
    Check(CheckArgs),
    /// Show which route a call would take, and why; nothing is started
    Explain(ExplainArgs),
    /// Take away all that an orchestrator has left: credentials and keys, in its state directory and in its cluster
    Purge(PurgeArgs),
    /// Create, list and revoke access tokens
    Token(TokenArgs),
    /// Show the servers that need a credential, and what they need
    Catalog(SiteArgs),
    /// Give a server the credential of a user, a team or the organization; it is tried before it is stored
    Install(InstallArgs),
    /// Put new values in the place of installed ones
    Rotate(InstallArgs),
    /// Remove an installed credential; what runs with it ends
    Uninstall(OwnedArgs),
    /// Show what is installed, and whose it is
    Installations(SiteArgs),
    /// Print the version
    Version,
    /// Print the JSON Schema of the configuration
    Schema,
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
}

#[derive(Args, Debug)]
pub(crate) struct PsArgs {
    /// Show them again every two seconds, until interrupted
    #[arg(short, long)]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) files: SiteArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ServerArgs {
    /// The server's name
    pub(crate) server: String,
    #[command(flatten)]
    pub(crate) files: SiteArgs,
}

#[derive(Args, Debug)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    pub(crate) command: TokenCommand,
}

#[derive(Subcommand, Debug)]
pub(crate) enum TokenCommand {
    /// Make a token; it is shown once, on standard output
    Create(TokenCreateArgs),
    /// Show all tokens, and when each was used last
    List(SiteArgs),
    /// Take a token back; it is refused from then on
    Revoke {
        /// The token's id, as `list` shows it
        id: String,
        #[command(flatten)]
        files: SiteArgs,
    },
}

#[derive(Args, Debug)]
pub(crate) struct TokenCreateArgs {
    #[command(flatten)]
    pub(crate) subject: SubjectArgs,
    /// It may administer: install for all, make tokens, see all that runs
    #[arg(long)]
    pub(crate) admin: bool,
    /// The only gateway that it may use
    #[arg(long, value_name = "NAME")]
    pub(crate) gateway: Option<String>,
    /// After this time it ends, as 90d or 12h; without it when it is revoked
    #[arg(long, value_name = "TIME", value_parser = lifetime)]
    pub(crate) expires: Option<std::time::Duration>,
    #[command(flatten)]
    pub(crate) files: SiteArgs,
}

/// For whom a token speaks.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct SubjectArgs {
    /// For this user
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// For this team
    #[arg(long, value_name = "NAME")]
    pub(crate) team: Option<String>,
    /// For the organization
    #[arg(long)]
    pub(crate) organization: bool,
}

/// A time as `90d`, `12h`, `30m`, `45s`.
fn lifetime(text: &str) -> Result<std::time::Duration, String> {
    let unit = |text: &str| {
        let (number, seconds) = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)]
            .into_iter()
            .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))?;
        number.parse::<u64>().ok()?.checked_mul(seconds)
    };
    let seconds = unit(text).filter(|seconds| *seconds > 0);
    let seconds = seconds.ok_or("a time is a number with d, h, m or s, as 90d")?;
    Ok(std::time::Duration::from_secs(seconds))
}

#[derive(Args, Debug)]
pub(crate) struct InstallArgs {
    /// The server's name
    pub(crate) server: String,
    /// For whom: me, team/NAME or organization
    #[arg(long, default_value = "me")]
    pub(crate) owner: String,
    /// Where a slot's value comes from: SLOT=env:VARIABLE, SLOT=file:PATH, or SLOT=- for standard input; what is not named
    /// is asked for on a terminal
    #[arg(long, value_name = "SLOT=SOURCE")]
    pub(crate) value: Vec<String>,
    /// Store it without starting the server with it first
    #[arg(long)]
    pub(crate) unchecked: bool,
    #[command(flatten)]
    pub(crate) files: SiteArgs,
}

#[derive(Args, Debug)]
pub(crate) struct OwnedArgs {
    /// The server's name
    pub(crate) server: String,
    /// For whom: me, team/NAME or organization
    #[arg(long, default_value = "me")]
    pub(crate) owner: String,
    #[command(flatten)]
    pub(crate) files: SiteArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DescribeArgs {
    /// The server's name, or an instance's as `ps` names it
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) files: SiteArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ToolsArgs {
    /// Only this server's, under their own names
    pub(crate) server: Option<String>,
    /// As this gateway shows them
    #[arg(
        long,
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
pub(crate) struct LogsArgs {
    /// The server's name
    pub(crate) server: String,
    /// Follow new output
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Number of lines from the end
    #[arg(short = 'n', long, value_name = "LINES")]
    pub(crate) tail: Option<usize>,
    /// The run before this one
    #[arg(long)]
    pub(crate) previous: bool,
    /// Of this instance, as `ps` names it; without it of the one that ran last
    #[arg(long, value_name = "NAME")]
    pub(crate) instance: Option<String>,
    #[command(flatten)]
    pub(crate) files: SiteArgs,
}

#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// Learn what is not known yet: start servers whose lists are not kept, and ask them
    #[arg(long)]
    pub(crate) start: bool,
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
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) gateway: String,
    /// For whom; without it for the local user
    #[arg(long, value_name = "ID")]
    pub(crate) principal: Option<String>,
    #[command(flatten)]
    pub(crate) files: SiteArgs,
}
