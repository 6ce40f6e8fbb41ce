//! HTTP+SSE clients (2024-11-05) that lose a token or a membership lose what it opened, as clients of `/mcp` do.

use mcp_orchestrator_core::id::{GatewayId, PrincipalId};
use mcp_orchestrator_core::router::{GatewaySpec, Members, ToolNames};
use mcp_orchestrator_gateway::limits::MAX_SSE_CALLS;
use mcp_orchestrator_tests::client::Client;
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::scripted::scripted;
use mcp_orchestrator_tests::wait::within;
use serde_json::{Value, json};

use crate::site::Known;
use crate::sse_clients::SseClient;

/// Opens a stream with one client's token. Its messages are sent with the other one's.
async fn open(stream: &Client, messages: &Client) -> SseClient {
    let mut client = SseClient::open(stream.clone(), "/sse").await;
    client.sends_as(messages.clone());
    client.begin().await;
    client
}

async fn calls(client: &Client) -> Value {
    let stats = client.modern_patient("stats", "{}").await;
    stats["result"]["calls"].clone()
}

#[tokio::test]
async fn stream_ends_with_the_token_of_its_last_message() {
    let site = Known::new().await;
    let (first, _) = site.client("user/bob", None).await;
    let (second, info) = site.client("user/bob", None).await;
    let mut gone = open(&first, &second).await;
    let mut early = SseClient::open(first.clone(), "/sse").await;
    // Its session has no message yet.
    early.sends_as(second.clone());
    let mut kept = open(&first, &second).await;
    kept.sends_as(first.clone());
    kept.ask(1, "ping", json!({})).await;
    site.tokens.revoke(&info.id).await.unwrap();
    within("the end of the stream", gone.stream.arrived()).await;
    kept.ask(2, "ping", json!({})).await;
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    assert_eq!(early.post(&ping).await, 401);
}

#[tokio::test]
async fn stream_ends_with_its_own_token_though_messages_have_another_one() {
    let site = Known::new().await;
    let (first, info) = site.client("user/bob", None).await;
    let (second, _) = site.client("user/bob", None).await;
    let mut gone = open(&first, &second).await;
    gone.ask(1, "resources/subscribe", json!({ "uri": "mem://1" }))
        .await;
    site.tokens.revoke(&info.id).await.unwrap();
    within("the end of the stream", gone.stream.arrived()).await;
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    assert_eq!(gone.post(&ping).await, 404);
}

#[tokio::test]
async fn stream_ends_when_its_user_leaves_the_gateway() {
    let gateway = Gateway::new().server(scripted("a", &[])).run().await;
    let mut ann = SseClient::open(gateway.client("ann"), "/sse").await;
    let mut bob = SseClient::open(gateway.client("bob"), "/sse").await;
    for client in [&mut ann, &mut bob] {
        client.begin().await;
        client.ask(1, "tools/list", json!({})).await;
    }
    let spec = |users: &[&str]| GatewaySpec {
        id: GatewayId::default_gateway(),
        members: Members::These {
            users: users
                .iter()
                .map(|name| PrincipalId::new(*name).unwrap())
                .collect(),
            teams: Vec::new(),
        },
        names: ToolNames::Auto,
        entries: Vec::new(),
    };
    gateway.router.replace([spec(&["bob"])]);
    gateway.orchestrator.recheck();
    within("the end of the stream", ann.stream.arrived()).await;
    bob.ask(2, "ping", json!({})).await;
    // A gateway that is removed ends it too.
    gateway.router.replace([]);
    gateway.orchestrator.recheck();
    within("the end of the other stream", bob.stream.arrived()).await;
}

#[tokio::test]
async fn message_that_waits_on_the_stream_is_not_sent_once_its_token_is_revoked() {
    let site = Known::new().await;
    let (first, _) = site.client("user/bob", None).await;
    let (second, info) = site.client("user/bob", None).await;
    let (other, _) = site.client("user/ann", None).await;
    let mut client = open(&first, &first).await;
    let call = |id: usize, tool: &str| {
        let params = json!({ "name": tool, "arguments": {} });
        json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params })
    };
    // The stream of messages outside calls is one of the calls.
    for id in 0..MAX_SSE_CALLS - 1 {
        assert_eq!(client.post(&call(1000 + id, "hang")).await, 202);
    }
    let hang = MAX_SSE_CALLS as u64 - 1;
    let before = within("the calls", async {
        let mut own = 0;
        loop {
            own += 1;
            let all = calls(&other).await.as_u64().unwrap();
            if all == hang + own {
                return all;
            }
        }
    })
    .await;
    client.sends_as(second);
    assert_eq!(client.post(&call(1, "echo")).await, 202);
    client.sends_as(first);
    assert_eq!(client.post(&call(2, "echo")).await, 202);
    site.tokens.revoke(&info.id).await.unwrap();
    for id in [1000, 1001] {
        let cancelled = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } });
        assert_eq!(client.post(&cancelled).await, 202);
    }
    let is_answer = |message: &Value| message["id"] == 1 || message["id"] == 2;
    for _ in 0..2 {
        let answer = client.until(is_answer).await;
        let refused = !answer["error"].is_null();
        assert_eq!(refused, answer["id"] == 1, "{answer}");
    }
    // The calls since then: one that was allowed, and the one that counts.
    assert_eq!(calls(&other).await, before + 2);
}
