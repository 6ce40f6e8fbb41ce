//! The list of tools with their schemas, and the dispatch by name to the file that answers.

use rmcp::{
    ErrorData, RoleServer,
    model::{CallToolRequestParams, CallToolResponse, JsonObject, Tool},
    service::RequestContext,
};
use serde_json::{Value, json};

use crate::{ask, content, eras, handler::Fixture, mrtr, report, tasks};

/// Tools without arguments.
const PLAIN: [(&str, &str); 32] = [
    ("test_simple_text", "Answers a text"),
    ("test_image_content", "Answers an image"),
    ("test_audio_content", "Answers a sound"),
    ("test_embedded_resource", "Answers an embedded resource"),
    (
        "test_multiple_content_types",
        "Answers a text, an image and a resource",
    ),
    ("test_error_handling", "Answers an error"),
    ("test_tool_with_logging", "Logs three messages"),
    ("test_logging_tool", "Logs one message"),
    ("test_tool_with_progress", "Tells its progress three times"),
    ("test_reconnection", "Answers after a short while"),
    ("test_wait_for_cancel", "Waits until it is cancelled"),
    ("test_cancel_count", "Says how many calls were cancelled"),
    (
        "test_elicitation_sep1034_defaults",
        "Asks for values that have defaults",
    ),
    (
        "test_elicitation_sep1330_enums",
        "Asks for choices from lists",
    ),
    ("test_list_roots", "Asks for the client's roots"),
    ("test_trigger_tool_change", "Changes the list of tools"),
    ("test_trigger_prompt_change", "Changes the list of prompts"),
    (
        "test_trigger_resource_update",
        "Updates the watched resource",
    ),
    ("test_missing_capability", "Needs a client that can sample"),
    (
        "test_streaming_elicitation",
        "Asks for a name in a second round",
    ),
    (
        "test_input_required_result_elicitation",
        "Asks for a name in a second round",
    ),
    (
        "test_input_required_result_sampling",
        "Asks for a sample in a second round",
    ),
    (
        "test_input_required_result_list_roots",
        "Asks for the roots in a second round",
    ),
    (
        "test_input_required_result_request_state",
        "Asks for a confirmation under a sealed state",
    ),
    (
        "test_input_required_result_tampered_state",
        "Refuses a state that was changed",
    ),
    (
        "test_input_required_result_multiple_inputs",
        "Asks for three things in a second round",
    ),
    (
        "test_input_required_result_multi_round",
        "Asks in two further rounds",
    ),
    (
        "test_input_required_result_capabilities",
        "Asks for what the client can do",
    ),
    ("failing_job", "A task that ends with an error of the tool"),
    ("protocol_error_job", "A task that breaks down"),
    ("multi_input", "A task that asks for two inputs at once"),
    (
        "test_tool_with_task",
        "Asks for a name, then goes on as a task",
    ),
];

/// Returns the tools in order; the last one is dynamic.
pub(crate) fn list(dynamic: bool) -> Vec<Tool> {
    let mut tools: Vec<_> = PLAIN
        .iter()
        .map(|(name, description)| Tool::new(*name, *description, object(json!({}), &[])))
        .collect();
    tools.extend(with_arguments());
    tools.push(Tool::new(
        "json_schema_2020_12_tool",
        "Tool with JSON Schema 2020-12 features",
        schema_2020_12(),
    ));
    if dynamic {
        tools.push(Tool::new(
            "test_dynamic_tool",
            "A tool that comes and goes",
            object(json!({}), &[]),
        ));
    }
    tools
}

fn with_arguments() -> Vec<Tool> {
    let string = json!({ "type": "string" });
    let header = json!({ "type": "string", "x-mcp-header": "Value" });
    let number = json!({ "type": "number" });
    [
        (
            "greet",
            "Greets by name",
            json!({ "name": string }),
            vec!["name"],
        ),
        (
            "test_sampling",
            "Asks the client's model",
            json!({ "prompt": string }),
            vec!["prompt"],
        ),
        (
            "test_elicitation",
            "Asks the user",
            json!({ "message": string }),
            vec!["message"],
        ),
        (
            "test_custom_header",
            "Has an argument that is also a header",
            json!({ "value": header }),
            vec!["value"],
        ),
        (
            "slow_compute",
            "Takes its time, as a task where possible",
            json!({ "seconds": number, "label": string }),
            vec![],
        ),
        (
            "confirm_delete",
            "A task that asks before it goes on",
            json!({ "filename": string }),
            vec![],
        ),
    ]
    .into_iter()
    .map(|(name, description, properties, required)| {
        Tool::new(name, description, object(properties, &required))
    })
    .collect()
}

fn object(properties: Value, required: &[&str]) -> JsonObject {
    let mut schema = JsonObject::new();
    schema.insert("type".into(), json!("object"));
    schema.insert("properties".into(), properties);
    if !required.is_empty() {
        schema.insert("required".into(), json!(required));
    }
    schema
}

fn schema_2020_12() -> JsonObject {
    let string = json!({ "type": "string" });
    let mut schema = object(
        json!({
            "name": string,
            "address": { "$ref": "#/$defs/address" },
            "contactMethod": { "type": "string", "enum": ["phone", "email"] },
            "phone": string,
            "email": string,
        }),
        &[],
    );
    let address = json!({
        "$anchor": "addressDef",
        "type": "object",
        "properties": { "street": string, "city": string },
    });
    let by_phone = json!({
        "properties": { "contactMethod": { "const": "phone" } },
        "required": ["contactMethod"],
    });
    for (keyword, value) in [
        (
            "$schema",
            json!("https://json-schema.org/draft/2020-12/schema"),
        ),
        ("$defs", json!({ "address": address })),
        (
            "allOf",
            json!([{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }]),
        ),
        ("if", by_phone),
        ("then", json!({ "required": ["phone"] })),
        ("else", json!({ "required": ["email"] })),
        ("additionalProperties", json!(false)),
    ] {
        schema.insert(keyword.into(), value);
    }
    schema
}

/// Answers `tools/call`.
pub(crate) async fn call(
    fixture: &Fixture,
    request: &CallToolRequestParams,
    cx: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let name = request.name.as_ref();
    let arguments = request.arguments.clone().unwrap_or_default();
    if let Some(result) = content::call(name, &arguments) {
        return Ok(result.into());
    }
    let capabilities = cx.client_capabilities().unwrap_or_default();
    if let Some(tool) = mrtr::tool(name) {
        let call = |request: &CallToolRequestParams| mrtr::call(tool, request, &capabilities);
        return eras::tool(request, cx, call).await;
    }
    if let Some(answer) = tasks::call(fixture.tasks(), request, cx).await {
        return answer;
    }
    if let Some(answer) = report::call(fixture, name, cx).await {
        return answer.map(Into::into);
    }
    if let Some(answer) = ask::call(request, cx).await {
        return answer;
    }
    let reason = format!("unknown tool: {name}");
    Err(ErrorData::invalid_params(reason, None))
}
