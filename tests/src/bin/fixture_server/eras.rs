//! Requests to the client in the form of the call's era: on the stream of a legacy call, in the result of a modern one.

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, GetPromptRequestParams, GetPromptResponse,
        InputRequest, InputRequiredResult, InputResponses,
    },
    service::RequestContext,
};
use serde_json::{Value, json};

use crate::mrtr::Round;

type Context = RequestContext<RoleServer>;

/// The key of the only request of a tool that asks once.
const KEY: &str = "it";

/// Returns `true` for a call of the modern era.
pub(crate) fn is_modern(cx: &Context) -> bool {
    cx.protocol_version()
        .is_some_and(|version| version.as_str() >= "2026")
}

/// Returns the answer to a modern tool's only request, or the result that makes the request.
pub(crate) fn answer_or_ask(
    request: &CallToolRequestParams,
    method: &str,
    params: &Value,
) -> Result<Result<Value, InputRequiredResult>, ErrorData> {
    let given = request.input_responses.as_ref();
    if let Some(answer) = given.and_then(|given| given.get(KEY)) {
        return Ok(Ok(answer.clone()));
    }
    let asked = json!({ KEY: { "method": method, "params": params } });
    Round::open(None, None)?.ask(asked, None).map(Err)
}

/// Answers a tool that returns `input_required`; a legacy client gets its requests on the stream of the call.
pub(crate) async fn tool(
    request: &CallToolRequestParams,
    cx: &Context,
    call: impl Fn(&CallToolRequestParams) -> Result<CallToolResponse, ErrorData>,
) -> Result<CallToolResponse, ErrorData> {
    let mut request = request.clone();
    loop {
        match call(&request)? {
            CallToolResponse::InputRequired(asked) if !is_modern(cx) => {
                request.request_state.clone_from(&asked.request_state);
                request.input_responses = Some(responses(asked, cx).await?);
            }
            end => return Ok(end),
        }
    }
}

/// The same for a prompt.
pub(crate) async fn prompt(
    mut request: GetPromptRequestParams,
    cx: &Context,
    get: impl Fn(&GetPromptRequestParams) -> Result<GetPromptResponse, ErrorData>,
) -> Result<GetPromptResponse, ErrorData> {
    loop {
        match get(&request)? {
            GetPromptResponse::InputRequired(asked) if !is_modern(cx) => {
                request.request_state.clone_from(&asked.request_state);
                request.input_responses = Some(responses(asked, cx).await?);
            }
            end => return Ok(end),
        }
    }
}

/// Sends the requests of a result at once and returns the client's answers.
async fn responses(asked: InputRequiredResult, cx: &Context) -> Result<InputResponses, ErrorData> {
    let requests = asked.input_requests.unwrap_or_default();
    let sent = requests.into_iter().map(|(key, request)| async move {
        let answer = match request {
            InputRequest::CreateMessage(request) => {
                let answer = cx.peer.create_message(request.params).await;
                answer.map(|answer| json!(answer))
            }
            InputRequest::Elicitation(request) => {
                let answer = cx.peer.create_elicitation(request.params).await;
                answer.map(|answer| json!(answer))
            }
            _ => cx.peer.list_roots().await.map(|answer| json!(answer)),
        };
        let failed = |error: rmcp::ServiceError| {
            ErrorData::internal_error(format!("the client did not answer: {error}"), None)
        };
        Ok((key, answer.map_err(failed)?))
    });
    let answers = futures_util::future::join_all(sent).await;
    answers.into_iter().collect()
}
