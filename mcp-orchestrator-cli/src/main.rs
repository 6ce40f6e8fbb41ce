//! `mcp-orchestrator`: runs the gateway, and speaks with the one that runs.

mod args;
mod clients;
mod commands;
mod exit;
mod output;
mod site;
mod solo;
mod suggest;
mod target;
mod tools;
mod values;
mod waiting;

use std::process::ExitCode;

use clap::Parser as _;

/// Each call makes and drops some hundred small things; the system's allocator costs noticeably more.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    mcp_orchestrator_gateway::hardening::harden();
    match mcp_orchestrator_gateway::program::keeper() {
        Some(code) => code,
        None => run(),
    }
}

#[tokio::main]
async fn run() -> ExitCode {
    match Box::pin(commands::run(args::Cli::parse_from(args::lifted(
        std::env::args_os(),
    ))))
    .await
    {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if !failure.message.is_empty() {
                output::note(&format!("mcp-orchestrator: {}", failure.message));
            }
            failure.exit.into()
        }
    }
}
