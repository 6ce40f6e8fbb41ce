//! A caller over a limit is asked to retry later; other callers are not affected.

#![allow(
    clippy::disallowed_methods,
    reason = "a test's tasks end with its runtime"
)]

use std::num::NonZeroUsize;

use mcp_orchestrator_core::orchestrator::Limits;
use mcp_orchestrator_core::server::Isolation;
use mcp_orchestrator_tests::client::{Client, call_params};
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::scripted::scripted;
use mcp_orchestrator_tests::wait::within;

fn calls(own: usize, all: usize) -> Limits {
    Limits {
        calls_per_principal: NonZeroUsize::new(own),
        calls_per_server: NonZeroUsize::new(all),
        ..Limits::default()
    }
}

/// Returns the status and `Retry-After` of a call that answers at once.
async fn quick(client: &Client) -> (u16, Option<String>) {
    let params = call_params("stats", "{}");
    let answer = client.modern_raw("7", "tools/call", &params).await;
    let after = answer.header("retry-after").map(str::to_owned);
    (answer.status, after)
}

/// Starts a call that never ends. It retries, because the calls that check for it may take its place.
async fn hang(client: Client) {
    let params = call_params("hang", "{}");
    while client.modern_raw("9", "tools/call", &params).await.status == 429 {}
}

/// Waits until such a call by this client has this status.
async fn becomes(client: &Client, status: u16) {
    within("the status of a call", async {
        while quick(client).await.0 != status {}
    })
    .await;
}

#[tokio::test]
async fn principal_over_the_call_limit_is_rejected_and_others_are_not() {
    let server = scripted("x", &["--era", "legacy"]);
    let gateway = Gateway::new()
        .server(server)
        .limits(calls(1, 9))
        .run()
        .await;
    let (ann, bob) = (gateway.client("ann"), gateway.client("bob"));
    assert_eq!(quick(&ann).await, (200, None));
    let call = tokio::spawn(hang(ann.clone()));
    becomes(&ann, 429).await;
    assert_eq!(quick(&ann).await, (429, Some("1".to_owned())));
    assert_eq!(quick(&bob).await.0, 200);
    call.abort();
    becomes(&ann, 200).await;
}

#[tokio::test]
async fn legacy_call_over_the_limit_gets_the_same_error() {
    let server = scripted("x", &["--era", "legacy"]);
    let gateway = Gateway::new()
        .server(server)
        .limits(calls(1, 9))
        .run()
        .await;
    let session = gateway.session().await;
    let other = gateway.client("ann");
    let _hanging = session.begin("\"h\"", "hang", "{}").await;
    becomes(&other, 429).await;
    let refused = session
        .request_raw("8", "tools/call", &call_params("stats", "{}"))
        .await;
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").is_some());
    session.cancel("\"h\"").await;
    becomes(&other, 200).await;
}

#[tokio::test]
async fn server_over_the_call_limit_rejects_every_principal() {
    let server = scripted("x", &["--era", "legacy"]);
    let gateway = Gateway::new()
        .server(server)
        .limits(calls(9, 1))
        .run()
        .await;
    let (ann, bob) = (gateway.client("ann"), gateway.client("bob"));
    assert_eq!(quick(&bob).await.0, 200);
    let call = tokio::spawn(hang(ann));
    becomes(&bob, 429).await;
    call.abort();
    becomes(&bob, 200).await;
}

#[tokio::test]
async fn organization_instances_do_not_count_towards_owner_limits() {
    let mut servers = ["a", "b"].map(|name| scripted(name, &["--era", "legacy"]));
    for server in &mut servers {
        server.isolation = Isolation::Principal;
    }
    let [first, second] = servers;
    let limits = Limits {
        instances_per_owner: NonZeroUsize::new(1),
        ..Limits::default()
    };
    let gateway = Gateway::new()
        .server(first)
        .server(second)
        .limits(limits)
        .run()
        .await;
    let ann = gateway.client("ann");
    for tool in ["a__stats", "b__stats"] {
        let answer = ann.modern_tool(tool, "{}").await;
        assert!(answer["error"].is_null(), "{answer}");
    }
}
