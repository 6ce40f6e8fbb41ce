//! Tools and a prompt that need more than one round: they answer `input_required`, and the client calls again with the
//! answers and the sealed state.

use rmcp::{
    ErrorData,
    model::{
        CallToolRequestParams, CallToolResponse, ClientCapabilities, InputRequests,
        InputRequiredResult, InputResponses, RequestStateCodec,
    },
};
use serde_json::{Value, json};

use crate::content::text;

/// The key of the fixture's state. It protects nothing secret; a fixed key survives a restart.
const KEY: [u8; 32] = *b"the fixture seals what is public";

/// The input of one round of a call.
#[derive(Debug)]
pub(crate) struct Round<'a> {
    responses: Option<&'a InputResponses>,
    state: Option<Value>,
    codec: RequestStateCodec,
}

// === impl Round ===

impl<'a> Round<'a> {
    /// Opens the state from the request.
    pub(crate) fn open(
        responses: Option<&'a InputResponses>,
        state: Option<&str>,
    ) -> Result<Self, ErrorData> {
        let codec = RequestStateCodec::try_new(KEY).map_err(internal)?;
        let state = state
            .map(|sealed| codec.open_json(sealed))
            .transpose()
            .map_err(|_| {
                ErrorData::invalid_params("requestState fails its integrity check", None)
            })?;
        Ok(Self {
            responses,
            state,
            codec,
        })
    }

    /// Returns the client's answer for a key, if it is an object.
    fn answer(&self, key: &str) -> Option<&'a Value> {
        self.responses?.get(key).filter(|value| value.is_object())
    }

    /// Returns a string from an accepted elicitation.
    pub(crate) fn field(&self, key: &str, name: &str) -> Option<&'a str> {
        let answer = self.answer(key)?;
        if answer.get("action")? != "accept" {
            return None;
        }
        answer.get("content")?.get(name)?.as_str()
    }

    /// Asks the client. The state is returned with the answers.
    pub(crate) fn ask(
        &self,
        requests: Value,
        state: Option<Value>,
    ) -> Result<InputRequiredResult, ErrorData> {
        let requests: InputRequests = serde_json::from_value(requests).map_err(internal)?;
        let state = state
            .map(|state| self.codec.seal_json(&state))
            .transpose()
            .map_err(internal)?;
        Ok(InputRequiredResult::new(Some(requests), state))
    }
}

/// Returns an elicitation with one required field.
pub(crate) fn elicit(message: &str, field: &str, kind: &str) -> Value {
    json!({
        "method": "elicitation/create",
        "params": {
            "message": message,
            "requestedSchema": {
                "type": "object",
                "properties": { field: { "type": kind } },
                "required": [field],
            },
        },
    })
}

fn sample(prompt: &str) -> Value {
    json!({
        "method": "sampling/createMessage",
        "params": {
            "messages": [{ "role": "user", "content": { "type": "text", "text": prompt } }],
            "maxTokens": 100,
        },
    })
}

fn list_roots() -> Value {
    json!({ "method": "roots/list", "params": {} })
}

/// One round of a tool.
pub(crate) type RoundTool =
    fn(&Round<'_>, &ClientCapabilities) -> Result<CallToolResponse, ErrorData>;

/// Returns a tool of this file; `None` for other tools.
pub(crate) fn tool(called: &str) -> Option<RoundTool> {
    Some(match called {
        "test_input_required_result_elicitation" | "test_streaming_elicitation" => name,
        "test_input_required_result_sampling" => capital,
        "test_input_required_result_list_roots" => roots,
        "test_input_required_result_request_state"
        | "test_input_required_result_tampered_state" => confirm,
        "test_input_required_result_multiple_inputs" => several,
        "test_input_required_result_multi_round" => rounds,
        "test_input_required_result_capabilities" => declared,
        "test_missing_capability" => sampling_only,
        _ => return None,
    })
}

/// Answers one round.
pub(crate) fn call(
    tool: RoundTool,
    request: &CallToolRequestParams,
    capabilities: &ClientCapabilities,
) -> Result<CallToolResponse, ErrorData> {
    let round = Round::open(
        request.input_responses.as_ref(),
        request.request_state.as_deref(),
    );
    tool(&round?, capabilities)
}

fn name(round: &Round<'_>, _: &ClientCapabilities) -> Result<CallToolResponse, ErrorData> {
    match round.field("user_name", "name") {
        Some(name) => done(format!("Hello, {name}!")),
        None => again(
            round,
            json!({ "user_name": elicit("What is your name?", "name", "string") }),
            None,
        ),
    }
}

fn capital(round: &Round<'_>, _: &ClientCapabilities) -> Result<CallToolResponse, ErrorData> {
    match round.answer("capital_question") {
        Some(answer) => {
            let said = answer.pointer("/content/text").and_then(Value::as_str);
            done(format!("The model says: {}", said.unwrap_or_default()))
        }
        None => again(
            round,
            json!({ "capital_question": sample("What is the capital of France?") }),
            None,
        ),
    }
}

fn roots(round: &Round<'_>, _: &ClientCapabilities) -> Result<CallToolResponse, ErrorData> {
    match round.answer("client_roots") {
        Some(answer) => done(format!("The roots: {}", answer["roots"])),
        None => again(round, json!({ "client_roots": list_roots() }), None),
    }
}

fn confirm(round: &Round<'_>, _: &ClientCapabilities) -> Result<CallToolResponse, ErrorData> {
    match (&round.state, round.answer("confirm")) {
        (Some(_), Some(_)) => done("state-ok"),
        _ => again(
            round,
            json!({ "confirm": elicit("Please confirm", "ok", "boolean") }),
            Some(json!({ "asked": "confirm" })),
        ),
    }
}

fn several(round: &Round<'_>, _: &ClientCapabilities) -> Result<CallToolResponse, ErrorData> {
    let name = round.field("user_name", "name");
    let answered = round.answer("greeting").is_some() && round.answer("client_roots").is_some();
    match (name, &round.state) {
        (Some(name), Some(_)) if answered => done(format!("All answers are here, {name}")),
        _ => again(
            round,
            json!({
                "user_name": elicit("What is your name?", "name", "string"),
                "greeting": sample("Generate a greeting"),
                "client_roots": list_roots(),
            }),
            Some(json!({ "asked": "several" })),
        ),
    }
}

fn rounds(round: &Round<'_>, _: &ClientCapabilities) -> Result<CallToolResponse, ErrorData> {
    let known = round
        .state
        .as_ref()
        .and_then(|state| state["name"].as_str());
    let name = round
        .field("step1", "name")
        .filter(|_| round.state.is_some());
    if let (Some(name), Some(color)) = (known, round.field("step2", "color")) {
        return done(format!("{name} likes {color}"));
    }
    match name.or(known) {
        Some(name) => again(
            round,
            json!({ "step2": elicit("Step 2: What is your favorite color?", "color", "string") }),
            Some(json!({ "name": name })),
        ),
        None => again(
            round,
            json!({ "step1": elicit("Step 1: What is your name?", "name", "string") }),
            Some(json!({ "step": 1 })),
        ),
    }
}

fn declared(
    round: &Round<'_>,
    capabilities: &ClientCapabilities,
) -> Result<CallToolResponse, ErrorData> {
    if round
        .responses
        .is_some_and(|responses| !responses.is_empty())
    {
        return done("Answered with what the client can do");
    }
    let mut requests = json!({});
    if capabilities.sampling.is_some() {
        requests["thought"] = sample("Think of a number");
    }
    if capabilities.elicitation.is_some() {
        requests["user_name"] = elicit("What is your name?", "name", "string");
    }
    if capabilities.roots.is_some() {
        requests["client_roots"] = list_roots();
    }
    again(round, requests, None)
}

fn sampling_only(
    _: &Round<'_>,
    capabilities: &ClientCapabilities,
) -> Result<CallToolResponse, ErrorData> {
    if capabilities.sampling.is_some() {
        return done("The client can sample");
    }
    let required = ClientCapabilities::builder().enable_sampling().build();
    Err(ErrorData::missing_required_client_capability(required))
}

fn done(said: impl Into<String>) -> Result<CallToolResponse, ErrorData> {
    Ok(text(said).into())
}

fn again(
    round: &Round<'_>,
    requests: Value,
    state: Option<Value>,
) -> Result<CallToolResponse, ErrorData> {
    round.ask(requests, state).map(Into::into)
}

fn internal(error: impl std::fmt::Display) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}
