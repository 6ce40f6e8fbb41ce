//! `up`: runs the gateway in the foreground.

use mcp_orchestrator_gateway::args::GatewayArgs;
use mcp_orchestrator_gateway::program::{Gateway, signalled};

use crate::exit::{Exit, Failure};
use crate::output;

pub(crate) async fn run(args: GatewayArgs) -> Result<Exit, Failure> {
    let gateway = Box::pin(Gateway::prepare(args)).await?;
    // Handle signals before the address is printed: a program that reads it may send one immediately.
    let told_to_end = signalled();
    output::line(&format!("listening on http://{}", gateway.address()))?;
    let servers = gateway.servers();
    output::note(&format!("endpoint for MCP clients: {}", gateway.url()));
    output::note(&match servers.len() {
        0 => "no servers yet: `mcp-orchestrator add --help`".to_owned(),
        number => format!(
            "{}: {}",
            output::count(number, "server"),
            servers.join(", ")
        ),
    });
    output::note(
        "connect a client: `mcp-orchestrator connect CLIENT --write`, e.g. claude-code, cursor, vscode",
    );
    gateway.run(told_to_end).await?;
    Ok(Exit::Done)
}
