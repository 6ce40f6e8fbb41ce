//! `mcp-orchestrator`: runs the gateway, and controls a running one.

mod args;
mod clients;
mod commands;
mod complete;
mod config_file;
mod connection;
mod embedded;
mod exit;
mod output;
mod printable;
mod secret_input;
mod site_args;
mod spinner;
mod subprocess;
mod suggest;

use std::process::ExitCode;

use clap::FromArgMatches as _;

/// Each call makes about a hundred small allocations, for which the system's allocator is noticeably slower.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    mcp_orchestrator_gateway::hardening::harden();
    match mcp_orchestrator_gateway::program::keeper() {
        Some(code) => code,
        None => {
            complete::answer(args::command);
            run()
        }
    }
}

#[tokio::main]
async fn run() -> ExitCode {
    let typed = args::command().get_matches_from(site_args::lifted(std::env::args_os()));
    let cli = args::Cli::from_arg_matches(&typed).unwrap_or_else(|error| error.exit());
    match Box::pin(commands::run(cli)).await {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if !failure.message.is_empty() {
                output::note(&format!("mcp-orchestrator: {}", failure.message));
            }
            failure.exit.into()
        }
    }
}
