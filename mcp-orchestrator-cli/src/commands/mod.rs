//! The commands, one file each.

mod add;
mod call;
mod check;
mod cluster;
mod completions;
mod connect;
mod describe;
mod explain;
mod import;
mod install;
mod logs;
mod ps;
mod purge;
mod quickstart;
mod reload;
mod restart;
mod schema;
mod sign_in;
mod stop;
mod token;
mod tools;
mod up;

use crate::args::{Cli, Command};
use crate::exit::{Exit, Failure};

/// Carries out what was typed.
pub(crate) async fn run(cli: Cli) -> Result<Exit, Failure> {
    let output = cli.output;
    match cli.command {
        Command::Up(args) => up::run(args).await,
        Command::Quickstart(args) => quickstart::run(args).await,
        Command::HelloServer => match mcp_orchestrator_gateway::hello::serve_standard_streams() {
            Ok(()) => Ok(Exit::Done),
            Err(error) => Err(Failure::failed(error)),
        },
        Command::Ps(args) => ps::run(&args, output).await,
        Command::Tools(args) => tools::run(&args, output).await,
        Command::Call(args) => call::run(args, output).await,
        Command::Logs(args) => logs::run(args, output).await,
        Command::Describe(args) => describe::run(&args, output).await,
        Command::Restart(args) => restart::run(&args, output).await,
        Command::Stop(args) => stop::run(&args, output).await,
        Command::Reload(args) => reload::run(&args, output).await,
        Command::Add(args) => add::run(&args),
        Command::Import(args) => import::run(&args, output).await,
        Command::Connect(args) => connect::run(&args).await,
        Command::Check(args) => check::run(&args, output).await,
        Command::Explain(args) => explain::run(args, output).await,
        Command::Purge(args) => purge::run(&args, output).await,
        Command::Token(args) => token::run(args, output).await,
        Command::Catalog(args) => install::catalog(&args, output).await,
        Command::Install(args) => install::install(args, false, output).await,
        Command::Rotate(args) => install::install(args, true, output).await,
        Command::Uninstall(args) => install::uninstall(args, output).await,
        Command::Installations(args) => install::installations(&args, output).await,
        Command::Schema => schema::run(),
        Command::Completions { shell } => completions::run(shell),
    }
}
