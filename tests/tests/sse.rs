//! Servers of the HTTP+SSE transport (2024-11-05): one stream for all callers, and an address of the same origin for
//! messages.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its tasks end with its runtime"
)]

use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::scripted::{SseUpstream, scripted};
use mcp_orchestrator_tests::wait::{until, within};
use tokio::task::JoinSet;

#[tokio::test]
async fn callers_share_one_stream() {
    let upstream = SseUpstream::start().await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let mut calls = JoinSet::new();
    for user in ["ann", "bob", "cid"] {
        let session = gateway.client(user).session().await;
        for n in 0..20 {
            let session = session.clone();
            calls.spawn(async move {
                let answer = session
                    .tool("echo", &format!("{{\"n\":\"{user}{n}\"}}"))
                    .await;
                assert_eq!(
                    answer["result"]["echo"]["n"],
                    format!("{user}{n}"),
                    "{answer}"
                );
            });
        }
    }
    while let Some(done) = calls.join_next().await {
        done.unwrap();
    }
    let modern = gateway.client("dee").modern_tool("echo", "{\"n\":1}").await;
    assert_eq!(modern["result"]["echo"]["n"], 1, "{modern}");
    assert_eq!(upstream.opened(), 1);
}

#[tokio::test]
async fn progress_precedes_the_result() {
    let upstream = SseUpstream::start().await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let session = gateway.session().await;
    let mut reply = session
        .begin_with_token("7", "\"t\"", "progress", r#"{"n":3}"#)
        .await;
    let mut told = 0;
    while let Some(event) = reply.event().await {
        if event.data.is_empty() {
            continue;
        }
        let message = event.json();
        if message["method"] == "notifications/progress" {
            assert_eq!(message["params"]["progressToken"], "t", "{message}");
            // Smaller values report the start.
            told += u32::from(message["params"]["progress"].as_f64() >= Some(1.0));
        } else {
            assert_eq!(message["id"], 7, "{message}");
            assert_eq!(told, 3);
            return;
        }
    }
    panic!("no result");
}

#[tokio::test]
async fn end_of_the_stream_is_a_lost_session() {
    let upstream = SseUpstream::start().await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let session = gateway.session().await;
    assert!(session.tool("echo", "{}").await["error"].is_null());
    let waiting = {
        let session = session.clone();
        tokio::spawn(async move { session.tool("gate", r#"{"name":"g"}"#).await })
    };
    until("the call to arrive", || upstream.server.calls() == 2).await;
    upstream.end_stream();
    let answer = within("the call to end", waiting).await.unwrap();
    let text = answer["error"]["message"].as_str().unwrap();
    assert!(
        text.contains("server x") && text.contains("event stream ended"),
        "{answer}"
    );
    assert!(session.tool("echo", "{}").await["error"].is_null());
    assert_eq!(upstream.opened(), 2);
}

#[tokio::test]
async fn endpoint_of_another_origin_is_rejected() {
    let upstream = SseUpstream::naming("http://127.0.0.2:9/messages").await;
    let gateway = Gateway::new()
        .server(upstream.spec("bad"))
        .server(scripted("good", &[]))
        .run()
        .await;
    let session = gateway.session().await;
    let tools = session.tools().await;
    assert!(
        tools.iter().all(|tool| tool.starts_with("good__")),
        "{tools:?}"
    );
    let answer = session.tool("bad__echo", "{}").await;
    let text = answer["error"]["message"].as_str().unwrap();
    assert!(text.contains("another origin"), "{answer}");
    assert_eq!(upstream.server.received().len(), 0);
}
