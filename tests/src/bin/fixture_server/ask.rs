//! Tools that send one request to the client while they run.

use rmcp::{
    ErrorData, RoleServer,
    model::{CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock},
    service::RequestContext,
};
use serde_json::{Value, json};

use crate::{
    content::{argument, text},
    eras::{answer_or_ask, is_modern},
};

/// Answers a tool of this file; returns `None` for other tools.
pub(crate) async fn call(
    request: &CallToolRequestParams,
    cx: &RequestContext<RoleServer>,
) -> Option<Result<CallToolResponse, ErrorData>> {
    let arguments = request.arguments.clone().unwrap_or_default();
    let elicitation = |message: &str, schema| {
        let params = json!({ "message": message, "requestedSchema": schema });
        ("elicitation/create", params)
    };
    let ((method, params), said) = match request.name.as_ref() {
        "test_sampling" => {
            let prompt = argument(&arguments, "prompt", "Hello");
            let content = json!({ "type": "text", "text": prompt });
            let messages = json!([{ "role": "user", "content": content }]);
            let params = json!({ "messages": messages, "maxTokens": 100 });
            (("sampling/createMessage", params), "LLM response")
        }
        "test_list_roots" => (("roots/list", json!({})), "Roots"),
        "test_elicitation" => {
            let message = argument(&arguments, "message", "Who are you?");
            (elicitation(message, user_schema()), "User response")
        }
        "test_elicitation_sep1034_defaults" => {
            let message = "Change what you like, every field has a default";
            (
                elicitation(message, defaults_schema()),
                "Elicitation completed",
            )
        }
        "test_elicitation_sep1330_enums" => {
            let message = "Choose from each list";
            (
                elicitation(message, enums_schema()),
                "Elicitation completed",
            )
        }
        _ => return None,
    };
    if is_modern(cx) {
        let answer = answer_or_ask(request, method, &params);
        return Some(answer.map(|answer| match answer {
            Ok(answer) => text(format!("{said}: {}", spell(&answer))).into(),
            Err(asked) => asked.into(),
        }));
    }
    Some(Ok(match sent(method, params, cx).await {
        Ok(answer) => text(format!("{said}: {}", spell(&answer))).into(),
        Err(error) => {
            let words = format!("{method} failed: {error}");
            CallToolResult::error(vec![ContentBlock::text(words)]).into()
        }
    }))
}

/// Sends a request to a legacy client.
async fn sent(
    method: &str,
    params: Value,
    cx: &RequestContext<RoleServer>,
) -> Result<Value, String> {
    let answer = match method {
        "sampling/createMessage" => {
            let params = serde_json::from_value(params).map_err(|error| error.to_string())?;
            let answer = cx.peer.create_message(params).await;
            answer.map(|answer| json!(answer))
        }
        "roots/list" => cx.peer.list_roots().await.map(|answer| json!(answer)),
        _ => {
            let params = serde_json::from_value(params).map_err(|error| error.to_string())?;
            let answer = cx.peer.create_elicitation(params).await;
            answer.map(|answer| json!(answer))
        }
    };
    answer.map_err(|error| error.to_string())
}

/// Describes a client's answer to any request.
fn spell(answer: &Value) -> String {
    if let Some(said) = answer.pointer("/content/text").and_then(Value::as_str) {
        return said.to_owned();
    }
    if let Some(roots) = answer["roots"].as_array() {
        let uris: Vec<_> = roots
            .iter()
            .filter_map(|root| root["uri"].as_str())
            .collect();
        return uris.join(", ");
    }
    let action = answer["action"].as_str().unwrap_or("cancel");
    format!("action={action}, content={}", answer["content"])
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
