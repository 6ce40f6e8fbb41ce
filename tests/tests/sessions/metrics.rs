//! Metrics of calls and instances, counted from outside.

use mcp_orchestrator_core::server::ServerSpec;
use mcp_orchestrator_tests::gateway::{Gateway, server_id};
use mcp_orchestrator_tests::scripted::scripted;

/// Returns the value of a sample, or zero if there is none.
fn value(gateway: &Gateway, sample: &str) -> f64 {
    let text = gateway.orchestrator.metrics().text();
    let found = text
        .lines()
        .find_map(|line| line.strip_prefix("mcp_orchestrator_")?.strip_prefix(sample));
    found.map_or(0.0, |value| value.trim().parse().unwrap())
}

#[tokio::test]
async fn calls_are_counted_by_gateway_server_method_and_era() {
    // With two servers, names have the server as their prefix.
    let gateway = Gateway::new()
        .server(scripted("x", &[]))
        .server(scripted("y", &[]))
        .run()
        .await;
    let session = gateway.session().await;
    let client = gateway.client("bob");
    for _ in 0..3 {
        session.tool("x__echo", "{}").await;
    }
    client.modern_tool("x__echo", "{}").await;
    session.tool("x__none", "{}").await;
    session.tool("nowhere__echo", "{}").await;
    let of = |server: &str, method: &str, era: &str, outcome: &str| {
        let labels = format!(
            r#"calls_total{{gateway="default",server="{server}",method="{method}",era="{era}",outcome="{outcome}"}}"#
        );
        value(&gateway, &labels)
    };
    assert_eq!(of("x", "tools/call", "legacy", "ok"), 3.0);
    assert_eq!(of("x", "tools/call", "modern", "ok"), 1.0);
    assert_eq!(of("x", "tools/call", "legacy", "server_error"), 1.0);
    assert_eq!(of("", "tools/call", "legacy", "error"), 1.0);
    assert_eq!(of("", "initialize", "legacy", "ok"), 1.0);
    let took = r#"call_duration_seconds_count{server="x",method="tools/call"}"#;
    assert_eq!(value(&gateway, took), 5.0);
    let missing = r#"call_errors_total{server="",kind="no_route"}"#;
    assert_eq!(value(&gateway, missing), 1.0);
    assert_eq!(value(&gateway, "sessions "), 1.0);
}

#[tokio::test]
async fn instances_are_counted_by_state() {
    let broken = ServerSpec::command(server_id("broken"), "/bin/false", [] as [&str; 0]);
    let gateway = Gateway::new()
        .server(scripted("x", &[]))
        .server(broken)
        .run()
        .await;
    let state = |server: &str, state: &str| {
        let labels = format!(r#"instances{{server="{server}",state="{state}"}}"#);
        value(&gateway, &labels)
    };
    assert_eq!(state("x", "running"), 0.0);
    let session = gateway.session().await;
    session.tool("x__echo", "{}").await;
    session.tool("broken__echo", "{}").await;
    assert_eq!(state("x", "running"), 1.0);
    assert_eq!(state("broken", "running"), 0.0);
    assert_eq!(state("broken", "failed"), 1.0);
    assert!(
        value(
            &gateway,
            r#"instance_start_failures_total{server="broken"}"#
        ) >= 1.0
    );
    let failed = r#"call_errors_total{server="broken",kind="start_failed"}"#;
    assert_eq!(value(&gateway, failed), 1.0);
    let started = r#"instance_starts_total{server="x",kind="start"}"#;
    assert_eq!(value(&gateway, started), 1.0);
    let took = r#"instance_start_duration_seconds_count{server="x"}"#;
    assert_eq!(value(&gateway, took), 1.0);
    session.tool("x__crash", "{}").await;
    session.tool("x__echo", "{}").await;
    let ended = r#"instance_ends_total{server="x",cause="exited"}"#;
    assert_eq!(value(&gateway, ended), 1.0);
    assert_eq!(value(&gateway, started), 2.0);
}
