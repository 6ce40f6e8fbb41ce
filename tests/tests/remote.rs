//! Remote servers: their sessions, their streams, and outages.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its tasks end with its runtime"
)]

use mcp_orchestrator_core::orchestrator::{InstanceInfo, InstanceState};
use mcp_orchestrator_core::server::{EraChoice, ServerSpec};
use mcp_orchestrator_tests::gateway::{Gateway, server_id};
use mcp_orchestrator_tests::scripted::{Script, Upstream, scripted};
use mcp_orchestrator_tests::wait::{until, within};
use tokio::task::JoinSet;

#[tokio::test]
async fn lost_session_is_reopened_transparently() {
    let upstream = Upstream::start(Script {
        lose_after: Some(7),
        ..Script::default()
    })
    .await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let session = gateway.session().await;
    for n in 0..50 {
        let answer = session.tool("echo", &format!("{{\"n\":{n}}}")).await;
        assert_eq!(answer["result"]["echo"]["n"], n, "{answer}");
        let answer = gateway
            .client("bob")
            .modern_tool("echo", &format!("{{\"n\":{n}}}"))
            .await;
        assert_eq!(answer["result"]["echo"]["n"], n, "{answer}");
    }
    assert_eq!(upstream.server.calls(), 100, "each call once");
    assert!(upstream.opened() > 10);
}

#[tokio::test]
async fn concurrent_calls_reopen_a_lost_session_once() {
    let upstream = Upstream::start(Script::default()).await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let session = gateway.session().await;
    session.tool("echo", "{}").await;
    let before = upstream.opened();
    upstream.forget();
    let mut calls = JoinSet::new();
    for _ in 0..20 {
        let session = session.clone();
        calls.spawn(async move { session.tool("echo", "{}").await });
    }
    while let Some(answer) = calls.join_next().await {
        assert!(answer.unwrap()["error"].is_null());
    }
    // One session for this client; the engine's own may follow.
    assert!(
        upstream.opened() <= before + 2,
        "{} {before}",
        upstream.opened()
    );
}

#[tokio::test]
async fn unreachable_server_does_not_hide_tools_of_others() {
    let up = Upstream::start(Script::default()).await;
    let down = Upstream::start(Script::default()).await;
    let address = down.address.to_string();
    let gateway = Gateway::new()
        .server(up.spec("up"))
        .server(down.spec("down"))
        .server(scripted("x", &[]))
        .run()
        .await;
    drop(down);
    let session = gateway.session().await;
    let tools = session.tools().await;
    assert!(tools.contains(&"up__echo".to_owned()) && tools.contains(&"x__echo".to_owned()));
    let answer = session.tool("down__echo", "{}").await;
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains("server down"),
        "{answer}"
    );
    assert!(session.tool("up__echo", "{}").await["error"].is_null());
    let _again = Upstream::start_at(&address, Script::default()).await;
    within("it to be back", async {
        while !session.tool("down__echo", "{}").await["error"].is_null() {}
        while !session.tools().await.contains(&"down__echo".to_owned()) {}
    })
    .await;
}

#[tokio::test]
async fn server_that_dies_after_a_call_is_reported_as_failed() {
    let upstream = Upstream::start(Script::default()).await;
    let address = upstream.address.to_string();
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let session = gateway.session().await;
    assert!(session.tool("echo", "{}").await["error"].is_null());
    drop(upstream);
    gateway.orchestrator.check_connections(Some("x")).await;
    let failed = |info: &InstanceInfo| {
        let why = info.reason.clone().unwrap_or_default();
        info.state == InstanceState::Failed && why.contains("cannot connect: ")
    };
    let instances = gateway.orchestrator.instances().await;
    assert!(instances.iter().all(failed), "{instances:?}");
    let server = gateway.orchestrator.server_info("x").unwrap();
    assert_eq!(server.state, InstanceState::Failed, "{server:?}");
    let _again = Upstream::start_at(&address, Script::default()).await;
    within("it to be back", async {
        while !session.tool("echo", "{}").await["error"].is_null() {}
    })
    .await;
    let instances = gateway.orchestrator.instances().await;
    let running = |info: &InstanceInfo| info.state == InstanceState::Running;
    assert!(instances.iter().any(running), "{instances:?}");
}

#[tokio::test]
async fn slow_connection_does_not_delay_the_report_of_others() {
    // An address for documentation: connections to it time out or fail at once, depending on the network.
    let far = "http://192.0.2.1:9/mcp".parse().unwrap();
    let near = "http://127.0.0.1:9/mcp".parse().unwrap();
    let far =
        (0..40).map(|n| ServerSpec::remote(server_id(&format!("far{n}")), Clone::clone(&far)));
    let near = ServerSpec::remote(server_id("near"), near);
    let gateway = far.fold(Gateway::new(), |all, one| all.server(one));
    let gateway = gateway.server(near).run().await;
    gateway.orchestrator.check_connections(Some("near")).await;
    gateway.orchestrator.check_connections(None).await;
    let server = gateway.orchestrator.server_info("near").unwrap();
    assert_eq!(server.state, InstanceState::Failed, "{server:?}");
}

#[tokio::test]
async fn rejected_credential_is_reported_as_such() {
    let script = Script {
        authorization: Some("Bearer right".into()),
        ..Script::default()
    };
    let upstream = Upstream::start(script).await;
    let gateway = Gateway::new()
        .server(upstream.spec("x"))
        .server(scripted("y", &[]))
        .run()
        .await;
    let session = gateway.session().await;
    let answer = session.tool("x__echo", "{}").await;
    let text = answer.to_string();
    assert!(
        text.contains("server x") && text.contains("credential"),
        "{answer}"
    );
    assert!(session.tools().await.contains(&"y__echo".to_owned()));
}

#[tokio::test]
async fn broken_upstream_stream_is_resumed() {
    let upstream = Upstream::start(Script::default()).await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let session = gateway.session().await;
    for _ in 0..3 {
        let answer = session.tool("cut", "{}").await;
        assert_eq!(
            answer["result"]["content"][0]["text"], "after the cut",
            "{answer}"
        );
    }
    let answer = gateway.client("ann").modern_tool("cut", "{}").await;
    assert_eq!(
        answer["result"]["content"][0]["text"], "after the cut",
        "{answer}"
    );
}

#[tokio::test]
async fn messages_on_the_general_stream_reach_the_session() {
    let upstream = Upstream::start(Script::default()).await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let session = gateway.session().await;
    let mut listening = session.listen(None).await;
    session.tool("echo", "{}").await;
    until("both streams upstream", || upstream.listening() == 2).await;
    let said = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"a"}}"#;
    upstream.announce(said);
    loop {
        let event = listening.event().await.unwrap();
        if event.json()["method"] == "notifications/message" {
            assert_eq!(event.data, said);
            break;
        }
    }
    upstream.break_streams();
    until("both streams again", || upstream.listening() == 2).await;
    upstream.announce(&said.replace("\"a\"", "\"b\""));
    loop {
        let event = listening.event().await.unwrap().json();
        if event["method"] == "notifications/message" && event["params"]["data"] == "b" {
            break;
        }
    }
}

#[tokio::test]
async fn list_changes_are_received_after_the_stream_broke() {
    let upstream = Upstream::start(Script::default()).await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let session = gateway.session().await;
    session.tools().await;
    let mut listening = session.listen(None).await;
    until("the engine's stream", || upstream.listening() >= 1).await;
    upstream.break_streams();
    until("the engine's stream again", || upstream.listening() >= 1).await;
    upstream.server.set_tools(9);
    upstream.announce(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#);
    while listening.event().await.unwrap().json()["method"] != "notifications/tools/list_changed" {}
    within("the new tools", async {
        while !session.tools().await.contains(&"tool-8".to_owned()) {}
    })
    .await;
}

#[tokio::test]
async fn server_of_both_eras_is_called_in_the_era_of_the_caller() {
    for (choice, legacy, modern) in [
        (EraChoice::Auto, true, true),
        (EraChoice::Legacy, true, false),
        (EraChoice::Modern, false, true),
    ] {
        let upstream = Upstream::start(Script {
            modern: true,
            ..Script::default()
        })
        .await;
        let mut spec = upstream.spec("x");
        spec.era = choice;
        let gateway = Gateway::new().server(spec).run().await;
        assert!(gateway.session().await.tool("echo", "{}").await["error"].is_null());
        assert!(gateway.client("ann").modern_tool("echo", "{}").await["error"].is_null());
        let calls = upstream.server.received_of("tools/call");
        let spoken: Vec<bool> = calls
            .iter()
            .map(|call| call.headers.iter().any(|(name, _)| name == "mcp-method"))
            .collect();
        assert_eq!(spoken, [!legacy, modern], "{choice:?}");
        assert!(
            calls
                .iter()
                .all(|call| call.headers.iter().all(|(name, _)| name != "x-user"))
        );
    }
}
