//! Messages without an id, over HTTP: only notifications that the protocol defines for clients reach a server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use mcp_orchestrator_core::router::ToolFilter;
use mcp_orchestrator_core::server::Isolation;
use mcp_orchestrator_tests::client::json as parse;
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::scripted::{Script, Upstream, scripted};
use mcp_orchestrator_tests::wait::until;

/// Messages that are not client notifications, in various spellings.
fn intruders() -> Vec<String> {
    let call = r#""params":{"name":"tool-0","arguments":{"x":1}}"#;
    let mut all: Vec<String> = [
        "tools/call",
        "tools/list",
        "resources/subscribe",
        "prompts/get",
        "completion/complete",
        "logging/setLevel",
        "tasks/cancel",
        "initialize",
        "x/extension",
        "notifications/tools/call",
        "notifications/message",
        "notifications/tools/list_changed",
        "notifications/resources/updated",
        "notifications/tasks/status",
        "notifications/x",
        "Tools/Call",
        " tools/call",
        "tools/call\\u0000",
        "",
    ]
    .iter()
    .map(|method| format!(r#"{{"jsonrpc":"2.0","method":"{method}",{call}}}"#))
    .collect();
    all.push(format!(
        r#"{{"jsonrpc":"2.0","\u006dethod":"tools/call",{call}}}"#
    ));
    all.push(format!(
        r#"{{"jsonrpc":"2.0","method":"tools/call","ID":1,{call}}}"#
    ));
    all
}

/// Methods that a server may receive in addition: those of the conversation, and the lists that the gateway caches.
const OWN: [&str; 9] = [
    "initialize",
    "notifications/initialized",
    "server/discover",
    "subscriptions/listen",
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "notifications/cancelled",
];

#[tokio::test]
async fn request_without_an_id_reaches_no_server() {
    let upstream = Upstream::start(Script::default()).await;
    let modern = Upstream::start(Script {
        legacy: false,
        modern: true,
        ..Script::default()
    })
    .await;
    let hidden = ToolFilter::Some {
        show: Vec::new(),
        hide: vec!["tool-0".into()],
        only: Vec::new(),
    };
    let mut own = scripted("own", &[]);
    own.isolation = Isolation::Session;
    let gateway = Gateway::new()
        .server(upstream.spec("http"))
        .server(modern.spec("modern"))
        .server(own)
        .filter("http", hidden)
        .run()
        .await;
    let session = gateway.session().await;
    for server in ["http", "modern", "own"] {
        let answer = session.tool(&format!("{server}__echo"), "{}").await;
        assert!(answer["error"].is_null(), "{answer}");
    }
    for intruder in intruders() {
        // Some are refused; the others are accepted and dropped.
        session.post(&intruder).await;
        gateway
            .client("ann")
            .send(
                "POST",
                &[
                    ("mcp-protocol-version", "2026-07-28"),
                    ("mcp-method", "tools/call"),
                ],
                intruder.as_bytes(),
            )
            .await;
    }
    // The last message of each server arrives after any that could have preceded it.
    let stats = session.tool("own__stats", "{}").await;
    for server in ["http", "modern"] {
        session.tool(&format!("{server}__echo"), "{}").await;
    }
    let told = stats["result"]["counts"].as_object().unwrap();
    for method in told.keys() {
        let known = OWN.contains(&method.as_str()) || method == "tools/call";
        assert!(known, "own got {method}");
    }
    assert_eq!(told["tools/call"], 2);
    for (name, server) in [("http", &upstream.server), ("modern", &modern.server)] {
        for got in server.received() {
            let body = parse(&got.body);
            let own = OWN.contains(&got.method.as_str());
            let ours = got.method == "tools/call" && !body["id"].is_null();
            assert!(own || ours, "{name} got {body}");
        }
        assert_eq!(server.received_of("tools/call").len(), 2, "{name}");
    }
}

#[tokio::test]
async fn request_without_an_id_in_a_batch_reaches_no_server() {
    let upstream = Upstream::start(Script::default()).await;
    let gateway = Gateway::new().server(upstream.spec("http")).run().await;
    let client = gateway.client("ann");
    let hello = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-03-26","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}}"#;
    let response = client.send("POST", &[], hello.as_bytes()).await;
    let id = response.header("mcp-session-id").unwrap().to_owned();
    let session = [("mcp-session-id", id.as_str())];
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}"#;
    client
        .send("POST", &session, call.as_bytes())
        .await
        .json()
        .await;
    let mut members = intruders();
    members.retain(|member| !member.contains(r#""method":"""#));
    let last = call.replace(r#""id":1"#, r#""id":2"#);
    let batch = format!("[{},{last}]", members.join(","));
    client
        .send("POST", &session, batch.as_bytes())
        .await
        .bytes()
        .await;
    let calls = upstream.server.received_of("tools/call");
    assert_eq!(calls.len(), 2);
    assert!(upstream.server.received_of("x/extension").is_empty());
    assert!(
        upstream
            .server
            .received_of("notifications/message")
            .is_empty()
    );
}

#[tokio::test]
async fn client_notification_is_forwarded() {
    let upstream = Upstream::start(Script::default()).await;
    let gateway = Gateway::new().server(upstream.spec("http")).run().await;
    let session = gateway.client("ann").session_with(r#"{"roots":{}}"#).await;
    session.tool("echo", "{}").await;
    session
        .notify(r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#)
        .await;
    let changed = || {
        upstream
            .server
            .received_of("notifications/roots/list_changed")
    };
    until("the notification", || changed().len() == 1).await;
}
