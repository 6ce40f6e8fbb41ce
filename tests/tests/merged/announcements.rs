//! Announcements of changed lists by one of several servers.

use std::time::Duration;

use mcp_orchestrator_tests::client::Response;
use mcp_orchestrator_tests::wait::within;
use serde_json::Value;

use super::servers::{KINDS, Over, Stage, server};

const WANTS: &str = r#"{"notifications":{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true}}"#;

/// Returns the method of the next announcement.
async fn next(stream: &mut Response) -> String {
    loop {
        let event: Value = stream.event().await.unwrap().json();
        let method = event["method"].as_str().unwrap_or_default();
        if method.ends_with("/list_changed") {
            return method.to_owned();
        }
    }
}

#[tokio::test]
async fn announced_change_is_passed_on_even_if_the_list_is_equal() {
    for kind in KINDS {
        let stage = Stage::new(kind, &[server("a"), server("b")]).await;
        let session = stage.gateway.session().await;
        let tools = session.tools().await;
        let mut legacy = session.listen(None).await;
        let client = stage.gateway.client("bob");
        let mut modern = client.modern_raw("1", "subscriptions/listen", WANTS).await;
        stage.is_heard("b").await;
        // The server has one tool of this kind already.
        session.tool("b__change", r#"{"n":1}"#).await;
        assert_eq!(
            next(&mut legacy).await,
            "notifications/tools/list_changed",
            "{kind:?}"
        );
        assert_eq!(
            next(&mut modern).await,
            "notifications/tools/list_changed",
            "{kind:?}"
        );
        assert_eq!(session.tools().await, tools, "{kind:?}");
    }
}

#[tokio::test]
async fn announcement_names_the_lists_that_the_server_named() {
    let stage = Stage::new(("legacy", Over::Http), &[server("a"), server("b")]).await;
    let session = stage.gateway.session().await;
    session.tools().await;
    let mut stream = session.listen(None).await;
    stage.is_heard("a").await;
    for kind in ["prompts", "resources", "tools", "prompts"] {
        let method = format!("notifications/{kind}/list_changed");
        stage.announce("a", &format!(r#"{{"jsonrpc":"2.0","method":"{method}"}}"#));
        // The first lists of the servers may be reported in between.
        within(&method, async {
            while next(&mut stream).await != method {}
        })
        .await;
    }
}

#[tokio::test]
async fn storm_of_announcements_is_coalesced() {
    let stage = Stage::new(("legacy", Over::Http), &[server("a"), server("b")]).await;
    let session = stage.gateway.session().await;
    session.tools().await;
    let mut stream = session.listen(None).await;
    stage.is_heard("a").await;
    for _ in 0..1000 {
        stage.announce(
            "a",
            r#"{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}"#,
        );
    }
    stage.upstream("a").set_tools(7);
    stage.announce(
        "a",
        r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#,
    );
    let mut seen = 0;
    within("the changed tools", async {
        while next(&mut stream).await != "notifications/tools/list_changed" {
            seen += 1;
            tokio::time::sleep(Duration::ZERO).await;
        }
    })
    .await;
    assert!(seen <= 10, "{seen}");
}
