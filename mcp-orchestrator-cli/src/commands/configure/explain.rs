//! `explain`: shows how a call would be routed.

use mcp_orchestrator_gateway::control::wire::ExplainRequest;
use serde_json::{Value, json};

use crate::args::{ExplainArgs, Output};
use crate::connection::Site;
use crate::exit::{Exit, Failure};
use crate::output;

pub(crate) async fn run(args: ExplainArgs, form: Output) -> Result<Exit, Failure> {
    let site = Site::find(&args.files)?;
    let request = ExplainRequest {
        gateway: Some(args.gateway),
        principal: args.principal,
        tool: args.tool,
        prompt: args.prompt,
        resource: args.resource,
    };
    let explanation = site.told(site.client().explain(&request).await)?;
    if form == Output::Json {
        let steps: Vec<Value> = explanation
            .steps
            .iter()
            .map(|(step, text)| json!({"step": step, "text": text}))
            .collect();
        output::json(&json!({"routed": explanation.routed, "steps": steps}))?;
    } else {
        let rows: Vec<[String; 2]> = explanation
            .steps
            .iter()
            .map(|(step, text)| [step.clone(), text.clone()])
            .collect();
        output::table(["STEP", "OUTCOME"], &rows, "nothing to explain")?;
    }
    Ok(if explanation.routed {
        Exit::Done
    } else {
        Exit::Failed
    })
}
