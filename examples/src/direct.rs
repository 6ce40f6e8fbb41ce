//! Calls without HTTP, for programs that embed the orchestrator.

use std::sync::Arc;

use mcp_orchestrator_core::Orchestrator;
use mcp_orchestrator_core::auth::Principal;
use mcp_orchestrator_core::call::Call;
use mcp_orchestrator_core::id::GatewayId;
use mcp_orchestrator_core::jsonrpc::{Message, request};
use serde_json::{Value, json};

use crate::Failure;

/// Calls a tool as this principal and returns the text of its result.
///
/// # Errors
/// Fails if the call fails, the response is an error, or the result is marked as an error or contains no text.
pub async fn call(
    orchestrator: &Orchestrator,
    principal: &Arc<Principal>,
    tool: &str,
    arguments: Value,
) -> Result<String, Failure> {
    let params = json!({ "name": tool, "arguments": arguments });
    let result = ask(orchestrator, principal, "tools/call", &params).await?;
    let text = result["content"][0]["text"].as_str();
    let text = text.ok_or("the result holds no text")?.to_owned();
    if result["isError"] == true {
        return Err(text.into());
    }
    Ok(text)
}

/// Returns the names of the tools that this principal can see.
///
/// # Errors
/// Fails if the call fails, or the response is an error or contains no list.
pub async fn tools(
    orchestrator: &Orchestrator,
    principal: &Arc<Principal>,
) -> Result<Vec<String>, Failure> {
    let result = ask(orchestrator, principal, "tools/list", &json!({})).await?;
    let tools = result["tools"].as_array().ok_or("no list came")?;
    let names = tools
        .iter()
        .filter_map(|tool| tool["name"].as_str().map(str::to_owned));
    Ok(names.collect())
}

async fn ask(
    orchestrator: &Orchestrator,
    principal: &Arc<Principal>,
    method: &str,
    params: &Value,
) -> Result<Value, Failure> {
    let message = Message::parse(request("1", method, Some(&params.to_string())))?;
    let gateway = GatewayId::default_gateway();
    let call = Call::modern(Arc::clone(principal), gateway, message);
    let response = orchestrator.call(call).await?.response().await?;
    let response: Value = serde_json::from_slice(response.bytes())?;
    match response.get("error") {
        Some(error) => Err(error.to_string().into()),
        None => Ok(response["result"].clone()),
    }
}
