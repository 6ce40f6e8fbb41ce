//! Tools that send requests to the client while they run, as legacy servers do: on the stream of the call.

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolResult, ContentBlock, CreateMessageRequestParams, ElicitRequestParams,
        ElicitResult, ElicitationAction, JsonObject, SamplingMessage,
    },
    service::{RequestContext, ServiceError},
};
use serde_json::{Value, json};

use crate::content::{argument, text};

/// Answers a tool of this file; returns `None` for other tools.
pub(crate) async fn call(
    name: &str,
    arguments: &JsonObject,
    cx: &RequestContext<RoleServer>,
) -> Option<Result<CallToolResult, ErrorData>> {
    let (message, schema, said) = match name {
        "test_sampling" => return Some(sample(argument(arguments, "prompt", "Hello"), cx).await),
        "test_list_roots" => return Some(roots(cx).await),
        "test_elicitation" => (
            argument(arguments, "message", "Who are you?"),
            user_schema(),
            "User response",
        ),
        "test_elicitation_sep1034_defaults" => (
            "Change what you like, every field has a default",
            defaults_schema(),
            "Elicitation completed",
        ),
        "test_elicitation_sep1330_enums" => (
            "Choose from each list",
            enums_schema(),
            "Elicitation completed",
        ),
        _ => return None,
    };
    Some(elicit(message, schema, said, cx).await)
}

async fn sample(
    prompt: &str,
    cx: &RequestContext<RoleServer>,
) -> Result<CallToolResult, ErrorData> {
    let messages = vec![SamplingMessage::user_text(prompt)];
    let answer = cx
        .peer
        .create_message(CreateMessageRequestParams::new(messages, 100))
        .await;
    Ok(match answer {
        Ok(answer) => {
            let said = serde_json::to_value(&answer.message).unwrap_or_default();
            let said = said.pointer("/content/text").and_then(Value::as_str);
            text(format!("LLM response: {}", said.unwrap_or_default()))
        }
        Err(error) => refused("sampling", &error),
    })
}

async fn roots(cx: &RequestContext<RoleServer>) -> Result<CallToolResult, ErrorData> {
    Ok(match cx.peer.list_roots().await {
        Ok(answer) => {
            let uris: Vec<_> = answer.roots.into_iter().map(|root| root.uri).collect();
            text(format!("Roots: {}", uris.join(", ")))
        }
        Err(error) => refused("roots", &error),
    })
}

async fn elicit(
    message: &str,
    schema: Value,
    said: &str,
    cx: &RequestContext<RoleServer>,
) -> Result<CallToolResult, ErrorData> {
    let params: ElicitRequestParams =
        serde_json::from_value(json!({ "message": message, "requestedSchema": schema }))
            .map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
    Ok(match cx.peer.create_elicitation(params).await {
        Ok(answer) => text(format!("{said}: {}", spell(&answer))),
        Err(error) => refused("elicitation", &error),
    })
}

fn spell(answer: &ElicitResult) -> String {
    let action = match answer.action {
        ElicitationAction::Accept => "accept",
        ElicitationAction::Decline => "decline",
        _ => "cancel",
    };
    let content = serde_json::to_string(&answer.content).unwrap_or_default();
    format!("action={action}, content={content}")
}

fn refused(what: &str, error: &ServiceError) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(format!("{what} failed: {error}"))])
}

fn user_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "username": { "type": "string", "description": "User's response" },
            "email": { "type": "string", "description": "User's email address" },
        },
        "required": ["username", "email"],
    })
}

fn defaults_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "default": "John Doe" },
            "age": { "type": "integer", "default": 30 },
            "score": { "type": "number", "default": 95.5 },
            "status": { "type": "string", "enum": ["active", "inactive", "pending"], "default": "active" },
            "verified": { "type": "boolean", "default": true },
        },
    })
}

fn enums_schema() -> Value {
    let titled = json!([
        { "const": "value1", "title": "First" },
        { "const": "value2", "title": "Second" },
        { "const": "value3", "title": "Third" },
    ]);
    let untitled = json!(["option1", "option2", "option3"]);
    json!({
        "type": "object",
        "properties": {
            "untitledSingle": { "type": "string", "enum": untitled },
            "titledSingle": { "type": "string", "oneOf": titled },
            "legacyEnum": {
                "type": "string",
                "enum": ["opt1", "opt2", "opt3"],
                "enumNames": ["First", "Second", "Third"],
            },
            "untitledMulti": { "type": "array", "items": { "type": "string", "enum": untitled } },
            "titledMulti": { "type": "array", "items": { "anyOf": titled } },
        },
    })
}
