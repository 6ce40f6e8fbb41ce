//! `up`: the gateway in the foreground.

use mcp_orchestrator_gateway::args::GatewayArgs;
use mcp_orchestrator_gateway::program::{Gateway, signalled};

use crate::exit::{Exit, Failure};
use crate::output;

pub(super) async fn run(args: GatewayArgs) -> Result<Exit, Failure> {
    let gateway = Gateway::prepare(args).await?;
    // Whoever reads the address may end us at once.
    let told_to_end = signalled();
    output::line(&format!("listening on http://{}", gateway.address()))?;
    gateway.run(told_to_end).await?;
    Ok(Exit::Done)
}
