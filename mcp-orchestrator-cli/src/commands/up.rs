//! `up`: the gateway in the foreground.

use mcp_orchestrator_gateway::args::GatewayArgs;
use mcp_orchestrator_gateway::program::{Gateway, signalled};

use crate::exit::{Exit, Failure};
use crate::output;

pub(super) async fn run(args: GatewayArgs) -> Result<Exit, Failure> {
    let gateway = Gateway::prepare(args).await?;
    output::line(&format!("listening on http://{}", gateway.address()))?;
    gateway.run(signalled()).await?;
    Ok(Exit::Done)
}
