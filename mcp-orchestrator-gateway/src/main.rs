//! The gateway binary: one MCP endpoint in front of the servers of a configuration.

use std::process::ExitCode;

use clap::Parser;
use mcp_orchestrator_gateway::args::GatewayArgs;
use mcp_orchestrator_gateway::program::{Gateway, signalled};

/// Each call makes and drops some hundred small things; the system's allocator costs noticeably more.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One MCP endpoint in front of every server of a configuration
#[derive(Parser)]
#[command(name = "mcp-orchestrator-gateway", version)]
struct Cli {
    #[command(flatten)]
    gateway: GatewayArgs,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the address is this program's output")]
#[expect(
    clippy::print_stderr,
    reason = "a failure is told where people look for it"
)]
async fn main() -> ExitCode {
    let gateway = match Gateway::prepare(Cli::parse().gateway).await {
        Ok(gateway) => gateway,
        Err(failure) => {
            eprintln!("mcp-orchestrator-gateway: {}", failure.message);
            return failure.exit_code();
        }
    };
    println!("listening on http://{}", gateway.address());
    match gateway.run(signalled()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("mcp-orchestrator-gateway: {}", failure.message);
            failure.exit_code()
        }
    }
}
