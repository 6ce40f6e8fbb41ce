//! Implementations of the commands, one file for each.

mod add;
mod call;
mod check;
mod cluster;
mod completions;
mod config;
mod connect;
mod describe;
mod explain;
mod import;
mod install;
mod lists;
mod logs;
mod ps;
mod purge;
mod quickstart;
mod reload;
mod remove;
mod restart;
mod schema;
mod sign_in;
mod stop;
mod token;
mod up;
mod version;

use self::lists::Listed;
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
        Command::Up(args) => up::run(args).await,
        Command::Quickstart(args) => quickstart::run(args).await,
        Command::HelloServer => {
            match mcp_orchestrator_gateway::demo_server::serve_standard_streams() {
                Ok(()) => Ok(Exit::Done),
                Err(error) => Err(Failure::failed(error)),
            }
        }
        Command::Ps(args) => ps::run(&args, output).await,
        Command::Tools(args) => lists::run(&args, Listed::Tools, output).await,
        Command::Prompts(args) => lists::run(&args, Listed::Prompts, output).await,
        Command::Resources(args) => lists::run(&args, Listed::Resources, output).await,
        Command::Call(args) => call::run(args, output).await,
        Command::Logs(args) => logs::run(args, output).await,
        Command::Describe(args) => describe::run(&args, output).await,
        Command::Restart(args) => restart::run(&args, output).await,
        Command::Stop(args) => stop::run(&args, output).await,
        Command::Reload(args) => reload::run(&args, output).await,
        Command::Add(args) => add::run(&args),
        Command::Remove(args) => remove::run(&args),
        Command::Import(args) => import::run(&args, output).await,
        Command::Connect(args) => connect::run(&args, output).await,
        Command::Disconnect(args) => connect::disconnect(&args),
        Command::Check(args) => check::run(&args, output).await,
        Command::Config(args) => config::run(&args, output),
        Command::Explain(args) => explain::run(args, output).await,
        Command::Purge(args) => purge::run(&args, output).await,
        Command::Token(args) => token::run(args, output).await,
        Command::Catalog(args) => install::catalog(&args, output).await,
        Command::Install(args) => install::install(args, false, output).await,
        Command::Rotate(args) => install::install(args, true, output).await,
        Command::Uninstall(args) => install::uninstall(args, output).await,
        Command::Installations(args) => install::installations(&args, output).await,
        Command::Version => version::run(output),
        Command::Schema => schema::run(),
        Command::Completions { shell } => completions::run(shell),
    }
}
