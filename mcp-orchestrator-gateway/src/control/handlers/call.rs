//! Calls through the control endpoint: sends one modern request and streams its messages and its result.

use std::sync::Arc;

use futures_util::{Stream, StreamExt as _, stream};
use mcp_orchestrator_core::auth::Principal;
use mcp_orchestrator_core::call::{Call, CallEra, Reply, ReplyItem};
use mcp_orchestrator_core::id::{GatewayId, ServerId};
use mcp_orchestrator_core::jsonrpc::{Kind, Members, Message, request};
use mcp_orchestrator_core::protocol::{meta, method, version};
use mcp_orchestrator_core::router::ItemKind;
use mcp_orchestrator_core::{Error, ErrorKind, Orchestrator, Result};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::control::wire::{CallEvent, CallRequest, Refusal};

/// The largest number of pages of one list.
const PAGES: usize = 1000;

#[derive(Serialize)]
struct Params<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<&'a RawValue>,
    #[serde(rename = "_meta")]
    meta: Value,
}

/// Makes a call and streams its events as they arrive. Dropping the stream cancels the call.
pub fn events(
    orchestrator: Orchestrator,
    principal: Arc<Principal>,
    server: ServerId,
    call: CallRequest,
) -> impl Stream<Item = CallEvent> + Send + 'static {
    told(async move {
        let message = tool_call(&call)?;
        let reply = orchestrator.call_tool(&principal, &server, message).await;
        reply.map_err(|error| error.with_server(&server))
    })
}

/// Like [`events`], through a gateway and by the name that the gateway shows.
pub(crate) fn gateway_events(
    orchestrator: Orchestrator,
    principal: Arc<Principal>,
    gateway: GatewayId,
    call: CallRequest,
) -> impl Stream<Item = CallEvent> + Send + 'static {
    told(async move {
        let message = tool_call(&call)?;
        let call = Call::modern(principal, gateway, message);
        orchestrator.call(call).await
    })
}

fn tool_call(call: &CallRequest) -> Result<Message> {
    let mut meta = about();
    meta["progressToken"] = json!("control");
    let params = Params {
        name: &call.tool,
        arguments: call.arguments.as_deref(),
        meta,
    };
    message(method::TOOLS_CALL, &params)
}

fn told(
    begun: impl Future<Output = Result<Reply>> + Send + 'static,
) -> impl Stream<Item = CallEvent> + Send + 'static {
    stream::once(begun).flat_map(|reply: Result<Reply>| match reply {
        Ok(reply) => reply
            .filter_map(|item| async move { event(item) })
            .left_stream(),
        Err(error) => stream::iter([CallEvent::Error(Refusal::from(&error))]).right_stream(),
    })
}

/// Returns all items of a kind that a gateway lists to this principal.
pub(crate) async fn gateway_list(
    orchestrator: &Orchestrator,
    principal: &Arc<Principal>,
    gateway: &GatewayId,
    kind: ItemKind,
) -> Result<Vec<Box<RawValue>>> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Page {
        #[serde(
            default,
            alias = "prompts",
            alias = "resources",
            alias = "resourceTemplates"
        )]
        tools: Vec<Box<RawValue>>,
        next_cursor: Option<String>,
    }
    let mut items = Vec::new();
    let mut cursor = None;
    for _ in 0..PAGES {
        let mut params = json!({ "_meta": about() });
        if let Some(cursor) = cursor {
            params["cursor"] = Value::String(cursor);
        }
        let call = Call {
            principal: Arc::clone(principal),
            gateway: gateway.clone(),
            era: CallEra::Modern,
            message: message(method_of(kind), &params)?,
            headers: http::HeaderMap::new(),
            token: None,
        };
        let answered = async { orchestrator.call(call).await?.response().await };
        let answer = match answered.await {
            // No server of the gateway has such a list.
            Err(error) if error.kind() == ErrorKind::MethodNotFound => break,
            answer => answer?,
        };
        let page: Page = serde_json::from_str(answer.body().unwrap_or("{}")).map_err(broken)?;
        items.extend(page.tools);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    Ok(items)
}

fn method_of(kind: ItemKind) -> &'static str {
    match kind {
        ItemKind::Tool => method::TOOLS_LIST,
        ItemKind::Prompt => method::PROMPTS_LIST,
        ItemKind::Resource => method::RESOURCES_LIST,
        ItemKind::Template => method::RESOURCES_TEMPLATES_LIST,
    }
}

/// Returns the `_meta` members that every modern request sends about its client.
fn about() -> Value {
    json!({
        meta::PROTOCOL_VERSION: version::LATEST_MODERN,
        meta::CLIENT_INFO: {"name": "mcp-orchestrator", "version": env!("CARGO_PKG_VERSION")},
        meta::CLIENT_CAPABILITIES: {},
    })
}

fn message(method: &str, params: &impl Serialize) -> Result<Message> {
    let params = serde_json::to_string(params).map_err(broken)?;
    Message::parse(request("1", method, Some(&params))).map_err(broken)
}

fn broken(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Internal, "a message cannot be read or written").with_source(error)
}

/// Converts an item of a reply to an event. A server's own request is refused by dropping it.
fn event(item: ReplyItem) -> Option<CallEvent> {
    match item {
        ReplyItem::Notification(message) => {
            let params = raw(message.body()?)?;
            match message.method() {
                method::PROGRESS => Some(CallEvent::Progress(params)),
                method::LOG_MESSAGE => Some(CallEvent::Message(params)),
                _ => None,
            }
        }
        ReplyItem::Request(_) => None,
        ReplyItem::Response(message) if message.kind() == Kind::Error => {
            Some(CallEvent::Error(answered(&message)))
        }
        ReplyItem::Response(message) => Some(CallEvent::Result(raw(message.body()?)?)),
        ReplyItem::Failed(error) => Some(CallEvent::Error(Refusal::from(&error))),
    }
}

fn raw(text: &str) -> Option<Box<RawValue>> {
    RawValue::from_string(text.to_owned()).ok()
}

/// Converts an error that the server itself returned.
fn answered(message: &Message) -> Refusal {
    let members = message.body().and_then(Members::read).unwrap_or_default();
    let text = members
        .get("message")
        .and_then(mcp_orchestrator_core::jsonrpc::text);
    Refusal {
        kind: "rpc".to_owned(),
        message: text.unwrap_or_default().into_owned(),
        server: None,
        fault: "server".to_owned(),
        code: members.get("code").and_then(|code| code.parse().ok()),
        data: members.get("data").and_then(raw),
    }
}
