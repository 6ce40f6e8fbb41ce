//! Implementations of the commands, one file for each, in the groups in which the help shows them.

mod completions;
mod configure;
mod connect;
mod credentials;
mod deploy;
mod operate;
mod version;

use self::operate::lists::Listed;
use crate::args::{Cli, Command};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::suggest::Typed;

/// Runs a command.
pub(crate) async fn run(cli: Cli) -> Result<Exit, Failure> {
    if cli.wide {
        output::set_wide();
    }
    let typed = Typed::of(&cli.command);
    let ended = if waits(&cli.command) {
        tokio::select! {
            ended = carry_out(cli) => ended,
            Ok(()) = tokio::signal::ctrl_c() => Err(Failure::interrupted()),
        }
    } else {
        carry_out(cli).await
    };
    match (ended, typed) {
        (Err(failure), Some(typed)) => Err(typed.complete(failure).await),
        (ended, _) => ended,
    }
}

/// Returns `true` if Ctrl-C may end the command here: it does not serve, prompt on the terminal, or need to clean up.
fn waits(command: &Command) -> bool {
    matches!(
        command,
        Command::Ps(_)
            | Command::Tools(_)
            | Command::Prompts(_)
            | Command::Resources(_)
            | Command::Logs(_)
            | Command::Describe(_)
            | Command::Restart(_)
            | Command::Stop(_)
            | Command::Reload(_)
            | Command::Check(_)
            | Command::Explain(_)
            | Command::Catalog(_)
            | Command::Installations(_)
            | Command::Uninstall(_)
            | Command::Token(_)
            | Command::Connect(_)
    )
}

async fn carry_out(cli: Cli) -> Result<Exit, Failure> {
    let output = cli.output;
    match cli.command {
        Command::Up(args) => deploy::up::run(args).await,
        Command::Quickstart(args) => deploy::quickstart::run(args).await,
        Command::HelloServer => {
            match mcp_orchestrator_gateway::demo_server::serve_standard_streams() {
                Ok(()) => Ok(Exit::Done),
                Err(error) => Err(Failure::failed(error)),
            }
        }
        Command::Ps(args) => operate::ps::run(&args, output).await,
        Command::Tools(args) => operate::lists::run(&args, Listed::Tools, output).await,
        Command::Prompts(args) => operate::lists::run(&args, Listed::Prompts, output).await,
        Command::Resources(args) => operate::lists::run(&args, Listed::Resources, output).await,
        Command::Call(args) => operate::call::run(args, output).await,
        Command::Logs(args) => operate::logs::run(args, output).await,
        Command::Describe(args) => operate::describe::run(&args, output).await,
        Command::Restart(args) => operate::restart::run(&args, output).await,
        Command::Stop(args) => operate::stop::run(&args, output).await,
        Command::Reload(args) => operate::reload::run(&args, output).await,
        Command::Add(args) => configure::add::run(&args),
        Command::Remove(args) => configure::remove::run(&args),
        Command::Import(args) => configure::import::run(&args, output).await,
        Command::Connect(args) => connect::run(&args, output).await,
        Command::Disconnect(args) => connect::disconnect(&args),
        Command::Check(args) => configure::check::run(&args, output).await,
        Command::Config(args) => configure::config::run(&args, output),
        Command::Explain(args) => configure::explain::run(args, output).await,
        Command::Purge(args) => deploy::purge::run(&args, output).await,
        Command::Token(args) => credentials::token::run(args, output).await,
        Command::Catalog(args) => credentials::install::catalog(&args, output).await,
        Command::Install(args) => credentials::install::install(args, false, output).await,
        Command::Rotate(args) => credentials::install::install(args, true, output).await,
        Command::Uninstall(args) => credentials::install::uninstall(args, output).await,
        Command::Installations(args) => credentials::install::installations(&args, output).await,
        Command::Version => version::run(output),
        Command::Schema => configure::schema::run(),
        Command::Completions { shell } => completions::run(shell),
    }
}
