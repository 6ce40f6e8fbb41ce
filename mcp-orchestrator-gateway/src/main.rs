//! The gateway binary: one MCP endpoint in front of the servers of a configuration.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use mcp_orchestrator_gateway::args::GatewayArgs;
use mcp_orchestrator_gateway::demo_server;
use mcp_orchestrator_gateway::program::{Gateway, signalled};

/// Each call makes and frees about a hundred small allocations; the system's allocator is noticeably slower.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One MCP endpoint in front of every server of a configuration
#[derive(Parser)]
#[command(
    name = "mcp-orchestrator-gateway",
    version,
    args_conflicts_with_subcommands = true
)]
struct Cli {
    #[command(flatten)]
    gateway: GatewayArgs,
    #[command(subcommand)]
    other: Option<Mode>,
}

/// Alternatives to running a gateway. The small server is included so that the image contains a first server.
#[derive(Subcommand)]
enum Mode {
    /// Be a small MCP server on the standard streams
    #[command(hide = true)]
    HelloServer,
}

fn main() -> ExitCode {
    mcp_orchestrator_gateway::hardening::harden();
    match mcp_orchestrator_gateway::program::keeper() {
        Some(code) => code,
        None => serve(),
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the address is this program's output")]
#[expect(
    clippy::print_stderr,
    reason = "a failure is told where people look for it"
)]
async fn serve() -> ExitCode {
    let cli = Cli::parse();
    if let Some(Mode::HelloServer) = cli.other {
        return match demo_server::serve_standard_streams() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let gateway = match Box::pin(Gateway::prepare(cli.gateway)).await {
        Ok(gateway) => gateway,
        Err(failure) => {
            eprintln!("mcp-orchestrator-gateway: {}", failure.message);
            return failure.exit_code();
        }
    };
    // Install the handlers first: a process that reads the address may send a signal at once.
    let told_to_end = signalled();
    println!("listening on http://{}", gateway.address());
    match gateway.run(told_to_end).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("mcp-orchestrator-gateway: {}", failure.message);
            failure.exit_code()
        }
    }
}
