//! Large requests that a server does not take, and large responses that a client does not read.

use futures_util::future::join_all;
use mcp_orchestrator_tests::client::{Session, call_params, modern_body};
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::scripted::scripted;
use mcp_orchestrator_tests::wait::within;
use serde_json::json;

use crate::raw::{Raw, post};
use crate::site::Site;

const MIB: usize = 1 << 20;

/// Sends a request with a large argument and returns its connection and the status of its response.
async fn send(gateway: &Gateway, by: &str, headers: &str, body: &str) -> (Raw, String) {
    let head = format!("content-length: {}\r\n{headers}", body.len());
    let head = post("/mcp", &head).replace("x-user: ann", &format!("x-user: {by}"));
    let mut raw = Raw::with(gateway.address, head.as_bytes()).await;
    raw.send(body.as_bytes()).await;
    let said = raw.head().await;
    let status = said.split(' ').nth(1).unwrap_or_default().to_owned();
    (raw, status)
}

fn legacy(session: &Session) -> String {
    format!(
        "mcp-session-id: {}\r\nmcp-protocol-version: 2025-11-25\r\n",
        session.id
    )
}

fn call(id: usize, tool: &str, arguments: &str) -> String {
    let params = call_params(tool, arguments);
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{params}}}"#)
}

#[tokio::test]
async fn large_request_counts_until_its_call_ends_even_if_its_client_left() {
    const FIT: usize = 7;
    let gateway = Gateway::new().server(scripted("a", &[])).run().await;
    let (ann, bob) = (
        gateway.session().await,
        gateway.client("bob").session().await,
    );
    let large = format!(r#"{{"text":"{}"}}"#, "x".repeat(9 * MIB));
    // The response to a call that does not end begins as a stream, while the call keeps the request.
    let sent = (0..FIT)
        .map(async |n| send(&gateway, "ann", &legacy(&ann), &call(n, "hang", &large)).await);
    let begun = within("the streams", join_all(sent)).await;
    assert!(begun.iter().all(|(_, status)| status == "200"));
    let again = call(FIT, "echo", &large);
    let status = async |by, session: &Session| {
        let (_, status) = send(&gateway, by, &legacy(session), &again).await;
        status
    };
    assert_eq!(status("ann", &ann).await, "429");
    drop(begun);
    assert_eq!(status("ann", &ann).await, "429");
    assert_eq!(status("bob", &bob).await, "200", "others are not concerned");
    ann.delete().await;
    let other = gateway.session().await;
    within("memory again", async {
        while status("ann", &other).await != "200" {}
    })
    .await;
}

#[tokio::test]
async fn large_responses_that_a_client_does_not_read_are_limited() {
    const FIT: usize = 3;
    let gateway = Gateway::new().server(scripted("a", &[])).run().await;
    let headers =
        "mcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\nmcp-name: blob\r\n";
    let blob = |len: usize| {
        let params = call_params("blob", &format!(r#"{{"n":{len}}}"#));
        modern_body("1", "tools/call", &params, "")
    };
    let large = blob(33 * MIB);
    let mut unread = Vec::new();
    for _ in 0..FIT {
        let (raw, status) = send(&gateway, "ann", headers, &large).await;
        assert_eq!(status, "200");
        unread.push(raw);
    }
    assert_eq!(send(&gateway, "ann", headers, &large).await.1, "429");
    assert_eq!(send(&gateway, "ann", headers, &blob(9)).await.1, "200");
    assert_eq!(send(&gateway, "bob", headers, &large).await.1, "200");
    unread.pop();
    within("memory again", async {
        while send(&gateway, "ann", headers, &large).await.1 != "200" {}
    })
    .await;
}

#[tokio::test]
async fn large_requests_to_the_control_endpoint_are_limited() {
    let site = Site::new(&json!({ "auth": { "tokens": true }, "servers": {} })).await;
    let (token, _) = site.token("user/ann", false).await;
    let by = format!("authorization: Bearer {token}");
    let begin = async |length: usize| {
        let head = format!("content-length: {length}\r\n");
        let head = post("/control/v1/explain", &head).replace("x-user: ann", &by);
        let mut raw = Raw::with(site.gateway.address, head.as_bytes()).await;
        raw.send(&vec![b' '; 200_000]).await;
        raw
    };
    let status = async || {
        let said = begin(200_000).await.head().await;
        said.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    let held = within("a refusal", async {
        loop {
            // Refused itself if another request is still counted.
            let held = begin(64 * MIB).await;
            if status().await == "429" {
                return held;
            }
        }
    });
    drop(held.await);
    within("memory again", async { while status().await != "400" {} }).await;
}
