//! `tools`: what servers offer.

use mcp_orchestrator_gateway::control::wire::Tools;
use serde_json::Value;

use crate::args::{Output, ToolsArgs};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::site::Site;
use crate::solo::Carrier;
use crate::waiting::Waiting;

pub(super) async fn run(args: &ToolsArgs, form: Output) -> Result<Exit, Failure> {
    let site = Site::find(&args.files)?;
    let waiting = Waiting::on("asking for tools");
    let tools = match &args.server {
        Some(server) => {
            let carrier = Carrier::find(&site, server).await?;
            let tools = carrier.tools(server).await;
            carrier.end().await;
            tools?
        }
        None => site.told(site.client().gateway_tools(&args.gateway).await)?,
    };
    drop(waiting);
    print(&tools, form)?;
    Ok(Exit::Done)
}

fn print(tools: &Tools, form: Output) -> Result<(), Failure> {
    if form == Output::Json {
        return output::json(&tools.tools);
    }
    let rows: Vec<[String; 3]> = tools
        .tools
        .iter()
        .map(|tool| {
            let tool: Value = serde_json::from_str(tool.get()).unwrap_or_default();
            let text = |key: &str| tool[key].as_str().unwrap_or_default();
            let about = text("description").lines().next().unwrap_or_default();
            [text("name").to_owned(), arguments(&tool), about.to_owned()]
        })
        .collect();
    output::table(["TOOL", "ARGUMENTS", "ABOUT"], &rows, "no tools")
}

/// The names of a tool's arguments, those in brackets that may be left out.
fn arguments(tool: &Value) -> String {
    let schema = &tool["inputSchema"];
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let names = schema["properties"].as_object().into_iter().flatten();
    let names: Vec<String> = names
        .map(|(name, _)| match required.contains(&name.as_str()) {
            true => name.clone(),
            false => format!("[{name}]"),
        })
        .collect();
    if names.is_empty() {
        "-".to_owned()
    } else {
        names.join(" ")
    }
}
