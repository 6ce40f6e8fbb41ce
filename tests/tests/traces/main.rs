//! Traces of calls: received by a collector over both protocols of OTLP, connected to the caller and to the server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod collector;
mod upstream;

use std::path::Path;

use mcp_orchestrator_tests::client::Session;
use mcp_orchestrator_tests::program::Program;
use mcp_orchestrator_tests::scripted::program;
use serde_json::{Value, json};

use self::collector::{Collector, Protocol, Span};
use self::upstream::Upstream;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
const SECRET: &str = "canary-of-traces-4711";

fn traceparent() -> String {
    format!("00-{TRACE}-{PARENT}-01")
}

/// Runs a gateway with a program and an HTTP server, which has a credential.
async fn gateway(upstream: &Upstream, env: &[(&str, &str)], errors: &Path) -> Program {
    let config = json!({
        "servers": {
            "x": { "command": [program("scripted-server")] },
            "h": {
                "url": format!("http://{}/mcp", upstream.address),
                "credentials": [{
                    "name": "token",
                    "header": { "name": "Authorization", "prefix": "Bearer " },
                    "from_env": "TRACED_TOKEN",
                }],
            },
        },
    });
    let env = [env, &[("TRACED_TOKEN", SECRET)]].concat();
    Program::run(&config.to_string(), &env, errors).await
}

/// Calls a tool with the caller's trace in `_meta`, and returns the `_meta` that the server received.
async fn call(session: &Session, tool: &str) -> Value {
    let params = json!({
        "name": tool,
        "arguments": { "text": SECRET },
        "_meta": { "traceparent": traceparent(), "tracestate": "own=1", "x-kept": 7 },
    });
    let answer = session.request("tools/call", &params.to_string()).await;
    answer["result"]["meta"].clone()
}

/// Verifies the spans of one call, and that the server continues its trace.
fn verify(spans: &[Span], server: &str, transport: &str, received: &Value) {
    let found = spans.iter().find(|span| {
        let is_request = span.kind == 3 && span.name == "tools/call meta";
        is_request && span.attribute("server.id") == server
    });
    let upstream = found.unwrap_or_else(|| panic!("no request to {server} in {spans:#?}"));
    let call = spans
        .iter()
        .find(|span| span.id == upstream.parent)
        .unwrap();
    assert_eq!((call.kind, &*call.trace, &*call.parent), (2, TRACE, PARENT));
    assert_eq!(call.name, format!("tools/call {server}__meta"));
    assert_eq!(upstream.trace, TRACE);
    assert_eq!(upstream.attribute("network.transport"), transport);
    for span in [call, upstream] {
        assert_eq!(span.attribute("mcp.method.name"), "tools/call");
        assert_eq!(span.attribute("gen_ai.operation.name"), "execute_tool");
        assert_ne!(span.attribute("jsonrpc.request.id"), "");
    }
    assert_eq!(
        call.attribute("gen_ai.tool.name"),
        format!("{server}__meta")
    );
    assert!(call.attribute("mcp.session.id").starts_with("session/"));
    let expected = format!("00-{TRACE}-{}-01", upstream.id);
    assert_eq!(received["traceparent"], expected);
    assert_eq!(received["tracestate"], "own=1");
    assert_eq!(received["x-kept"], 7);
}

async fn exported_by(protocol: Protocol) {
    let (mut collector, upstream) = (Collector::start(protocol).await, Upstream::start().await);
    let folder = tempfile::tempdir().unwrap();
    let endpoint = format!("http://{}", collector.address);
    let env = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.name()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-collector-key=abc"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
    ];
    let errors = folder.path().join("errors");
    let gateway = gateway(&upstream, &env, &errors).await;
    let session = gateway.client().session().await;
    // The program runs since the session was opened; the next call starts it again.
    session.tool("x__crash", "{}").await;
    let to_program = call(&session, "x__meta").await;
    let to_server = call(&session, "h__meta").await;
    // A call that fails, and one without a trace of its caller.
    session.tool("x__none", "{}").await;
    // The call that ends last.
    let last = "tools/call x__none";
    let is_complete = |spans: &[Span]| spans.iter().any(|span| span.name == last);
    let spans = collector.until(is_complete).await;
    verify(&spans, "x", "pipe", &to_program);
    verify(&spans, "h", "tcp", &to_server);
    let start = spans
        .iter()
        .find(|span| span.name == "start" && span.trace == TRACE);
    let started = spans.iter().find(|span| span.name == "tools/call x__meta");
    assert_eq!(start.unwrap().parent, started.unwrap().id);
    let credential = spans.iter().find(|span| span.name == "credential");
    assert_eq!(credential.unwrap().trace, TRACE);
    let expected = format!("Bearer {SECRET}");
    assert_eq!(upstream.header("authorization"), Some(expected));
    let header = upstream.header("traceparent").unwrap();
    assert_eq!(to_server["traceparent"], header);
    let failed = spans.iter().find(|span| span.name == last);
    let failed = failed.unwrap();
    assert_eq!(failed.attribute("error.type"), "server_error");
    assert_eq!(failed.status, 2);
    assert_ne!(failed.trace, TRACE);
    assert!(
        collector.has_key(),
        "the headers of the environment are sent"
    );
    let all = format!("{spans:?}");
    assert!(!all.contains(SECRET), "{all}");
    let log = std::fs::read_to_string(&errors).unwrap();
    // The start of the program is logged within the trace of its instance.
    let instance = spans.iter().find(|span| span.name == "instance").unwrap();
    let ids = format!("trace_id={} span_id={}", instance.trace, instance.id);
    assert!(log.contains(&ids), "{log}");
}

#[tokio::test]
async fn call_is_one_trace_over_http() {
    exported_by(Protocol::Http).await;
}

#[tokio::test]
async fn call_is_one_trace_over_grpc() {
    exported_by(Protocol::Grpc).await;
}

#[tokio::test]
async fn context_passes_through_without_traces() {
    let (upstream, folder) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let gateway = gateway(&upstream, &[], &folder.path().join("errors")).await;
    let session = gateway.client().session().await;
    for tool in ["x__meta", "h__meta"] {
        let received = call(&session, tool).await;
        assert_eq!(received["traceparent"], traceparent(), "{tool}");
        assert_eq!(received["tracestate"], "own=1", "{tool}");
    }
    assert_eq!(upstream.header("traceparent"), None);
}

#[tokio::test]
async fn absent_collector_is_logged_once() {
    let (upstream, folder) = (Upstream::start().await, tempfile::tempdir().unwrap());
    // Nothing listens there: the port was free a moment ago.
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let env = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
    ];
    let errors = folder.path().join("errors");
    let gateway = gateway(&upstream, &env, &errors).await;
    let session = gateway.client().session().await;
    session.tool("x__echo", "{}").await;
    let read = || std::fs::read_to_string(&errors).unwrap();
    let lines = |log: &str| log.matches("cannot export traces").count();
    mcp_orchestrator_tests::wait::until("a warning", || lines(&read()) > 0).await;
    for _ in 0..200 {
        let answer = session.tool("x__echo", r#"{"n":1}"#).await;
        assert_eq!(answer["result"]["echo"]["n"], 1, "{answer}");
    }
    assert_eq!(lines(&read()), 1, "{}", read());
}
