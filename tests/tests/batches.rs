//! JSON-RPC batches of revision 2025-03-26: bytes on the wire.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its tasks end with its runtime"
)]

use mcp_orchestrator_tests::client::{Client, Response, json};
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::scripted::{Script, Upstream, scripted};
use mcp_orchestrator_tests::wait::within;
use serde_json::Value;

/// A session of 2025-03-26, in which clients send no version header.
struct BatchSession {
    client: Client,
    id: String,
}

impl BatchSession {
    async fn open(gateway: &Gateway) -> Self {
        Self::speaking(gateway, "2025-03-26").await
    }

    async fn speaking(gateway: &Gateway, version: &str) -> Self {
        let client = gateway.client("ann");
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"{version}","capabilities":{{}},"clientInfo":{{"name":"raw","version":"1"}}}}}}"#
        );
        let response = client.send("POST", &[], body.as_bytes()).await;
        let id = response.header("mcp-session-id").unwrap().to_owned();
        Self { client, id }
    }

    async fn post(&self, body: &str) -> Response {
        let headers = [("mcp-session-id", &self.id[..])];
        self.client.send("POST", &headers, body.as_bytes()).await
    }
}

fn call(id: &str, tool: &str, arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments},"_meta":{{"progressToken":{id}}}}}}}"#
    )
}

#[tokio::test]
async fn batch_of_requests_is_answered_by_an_array() {
    let upstream = Upstream::start(Script::default()).await;
    let gateway = Gateway::new()
        .server(scripted("x", &[]))
        .server(upstream.spec("h"))
        .run()
        .await;
    let session = BatchSession::open(&gateway).await;
    let big = r#"{"n":123456789012345678901234567890}"#;
    let batch = format!(
        r#" [ {} , {{"jsonrpc":"2.0","method":"notifications/x"}},{},{{"jsonrpc":"2.0","id":"p","method":"ping"}}, {}, 7, {}]"#,
        call("1", "x__echo", big),
        call("\"1\"", "h__echo", r#"{"n":2}"#),
        call("2", "x__no-such-tool", "{}"),
        r#"{"jsonrpc":"2.0","id":3,"method":"initialize","params":{}}"#,
    );
    let mut response = session.post(&batch).await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("application/json"));
    let bytes = response.bytes().await;
    let text = std::str::from_utf8(&bytes).unwrap();
    assert!(text.contains("123456789012345678901234567890"), "{text}");
    let all: Vec<Value> = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(all.len(), 6, "{text}");
    assert_eq!(all[0]["id"], 1);
    assert_eq!(all[1]["id"], "1");
    assert_eq!(all[1]["result"]["echo"]["n"], 2);
    assert_eq!(
        (&all[2]["id"], &all[2]["result"]),
        (&"p".into(), &serde_json::json!({}))
    );
    assert_eq!(
        (&all[3]["id"], &all[3]["error"]["code"]),
        (&2.into(), &(-32602).into())
    );
    assert_eq!(
        (&all[4]["id"], &all[4]["error"]["code"]),
        (&Value::Null, &(-32600).into())
    );
    assert_eq!(
        (&all[5]["id"], &all[5]["error"]["code"]),
        (&3.into(), &(-32600).into())
    );
    // Each member reached its server as a separate call.
    assert_eq!(upstream.server.calls(), 1);
}

#[tokio::test]
async fn batch_with_notifications_is_answered_by_one_stream() {
    let gateway = Gateway::new().server(scripted("x", &[])).run().await;
    let session = BatchSession::open(&gateway).await;
    let batch = format!(
        "[{},{},{}]",
        call("1", "gate", r#"{"name":"g"}"#),
        call("2", "echo", r#"{"n":2}"#),
        call("3", "progress", r#"{"n":2}"#),
    );
    let mut response = session.post(&batch).await;
    assert!(response.is_stream());
    let mut opened = false;
    let (mut told, mut answered) = (Vec::new(), Vec::new());
    while let Some(event) = response.event().await {
        assert_eq!(event.id, None, "such a stream is not resumed");
        let event = event.json();
        match event["id"].as_u64() {
            Some(id) => answered.push(id),
            None => told.push(event["params"]["progressToken"].as_u64().unwrap()),
        }
        if !opened && answered.len() == 2 {
            opened = true;
            session.post(&call("9", "open", r#"{"name":"g"}"#)).await;
        }
    }
    assert_eq!(answered.last(), Some(&1), "the others did not wait for it");
    answered.sort_unstable();
    told.sort_unstable();
    assert_eq!((answered, told), (vec![1, 2, 3], vec![1, 1, 3, 3]));
}

#[tokio::test]
async fn batch_without_requests_is_accepted() {
    let gateway = Gateway::new().server(scripted("x", &[])).run().await;
    let session = BatchSession::open(&gateway).await;
    let batch = r#"[{"jsonrpc":"2.0","method":"notifications/initialized"},{"jsonrpc":"2.0","id":7,"result":{}}]"#;
    let mut response = session.post(batch).await;
    assert_eq!(response.status, 202);
    assert!(response.bytes().await.is_empty());
}

#[tokio::test]
async fn batch_member_can_be_cancelled_by_its_own_or_a_later_batch() {
    let gateway = Gateway::new().server(scripted("x", &[])).run().await;
    let session = BatchSession::open(&gateway).await;
    session.post(&call("0", "echo", "{}")).await.bytes().await;
    let cancel = |id: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
        )
    };
    let batch = format!(
        "[{},{},{}]",
        call("1", "hang", "{}"),
        call("2", "hang", "{}"),
        cancel("1"),
    );
    let mut response = session.post(&batch).await;
    let taken = session.post(&format!("[{}]", cancel("2"))).await;
    assert_eq!(taken.status, 202);
    // The stream ends, although neither tool ever answers.
    while let Some(event) = response.event().await {
        assert!(event.json()["result"].is_null());
    }
    within("a cancellation at the child", async {
        loop {
            let mut stats = session.post(&call("5", "stats", "{}")).await;
            let stats = json(&stats.bytes().await);
            if stats["result"]["cancelled"].as_array().map(Vec::len) >= Some(1) {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn invalid_or_disallowed_batches_are_rejected() {
    let gateway = Gateway::new().server(scripted("x", &[])).run().await;
    let session = BatchSession::open(&gateway).await;
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let many = format!("[{}]", vec![ping; 65].join(","));
    for (body, code) in [("[]", -32600), (&many[..], -32600), ("[{]", -32700)] {
        let mut response = session.post(body).await;
        assert_eq!(response.status, 400, "{body}");
        let error = json(&response.bytes().await);
        assert_eq!(
            (&error["id"], &error["error"]["code"]),
            (&Value::Null, &code.into())
        );
    }
    let most = format!("[{}]", vec![ping; 64].join(","));
    let all = json(&session.post(&most).await.bytes().await);
    assert_eq!(all.as_array().map(Vec::len), Some(64));
    let one = format!("[{ping}]");
    for version in ["2024-11-05", "2025-06-18", "2025-11-25"] {
        let newer = BatchSession::speaking(&gateway, version).await;
        assert_eq!(newer.post(&one).await.status, 400, "{version}");
    }
    let other = BatchSession {
        client: gateway.client("bob"),
        id: session.id.clone(),
    };
    assert_eq!(other.post(&one).await.status, 404);
    let none = gateway
        .client("ann")
        .send("POST", &[], one.as_bytes())
        .await;
    assert_eq!(none.status, 400);
    let modern = [("mcp-protocol-version", "2026-07-28")];
    let refused = gateway
        .client("ann")
        .send("POST", &modern, one.as_bytes())
        .await;
    assert_eq!(refused.status, 400);
}
