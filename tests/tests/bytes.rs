//! A client's bytes reach the server unchanged, and so do the server's bytes reach the client.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its tasks end with its runtime"
)]

use mcp_orchestrator_tests::client::{Client, call_params, json, modern_body};
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::scripted::{Script, Upstream, scripted};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};

/// JSON text that parsing into values would change.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "[1-9][0-9]{0,29}",
        "-?(0|[1-9][0-9]{0,3})\\.[0-9]{1,25}",
        Just("1e400".to_owned()),
        Just("-0.0".to_owned()),
        Just("-1E-400".to_owned()),
        Just("123456789012345678901234567890".to_owned()),
        Just("null".to_owned()),
        Just("true".to_owned()),
        text(),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        let member = (text(), space(), inner.clone());
        prop_oneof![
            proptest::collection::vec(inner, 0..6)
                .prop_map(|items| format!("[{}]", items.join(","))),
            object(member),
        ]
    })
}

fn object(
    member: impl Strategy<Value = (String, String, String)>,
) -> impl Strategy<Value = String> {
    proptest::collection::vec(member, 0..6).prop_map(|members| {
        let members: Vec<_> = members
            .into_iter()
            .map(|(key, space, value)| format!("{key}{space}:{value}"))
            .collect();
        format!("{{{}}}", members.join(" ,"))
    })
}

fn space() -> impl Strategy<Value = String> {
    "[ \t]{0,2}"
}

/// Strings with escapes of every kind.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-zA-Z0-9_{}:,\\[\\]]{0,6}",
        Just("\\n\\r\\t\\b\\f\\\\\\\"\\/".to_owned()),
        Just("\\u0000\\u001f\\uD83D\\uDE00".to_owned()),
        Just("é😀\u{2028}\u{7f}".to_owned()),
        Just("\\u00e9".to_owned()),
    ];
    proptest::collection::vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

/// Ids of every legal kind.
fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("\"1\"".to_owned()),
        Just("1".to_owned()),
        Just("0".to_owned()),
        Just("-7".to_owned()),
        Just("\"\"".to_owned()),
        Just("9223372036854775808".to_owned()),
        Just("123456789012345678901234567890".to_owned()),
        "\"[a-z]{300}\"",
        text(),
    ]
}

fn arguments() -> impl Strategy<Value = String> {
    object((text(), space(), value()))
}

async fn kinds() -> (Gateway, Gateway, Upstream) {
    let upstream = Upstream::start(Script {
        modern: true,
        ..Script::default()
    })
    .await;
    let http = Gateway::new().server(upstream.spec("x")).run().await;
    let stdio = Gateway::new().server(scripted("x", &[])).run().await;
    (stdio, http, upstream)
}

fn sample<S: Strategy>(strategy: &S, runner: &mut TestRunner) -> S::Value {
    strategy
        .new_tree(runner)
        .expect("the strategy makes values")
        .current()
}

#[tokio::test]
async fn arguments_results_and_ids_arrive_unchanged() {
    let (stdio, http, _upstream) = kinds().await;
    let mut runner = TestRunner::new(Config::default());
    for gateway in [&stdio, &http] {
        let session = gateway.session().await;
        for _ in 0..100 {
            let (id, arguments) = (
                sample(&id(), &mut runner),
                sample(&arguments(), &mut runner),
            );
            let legacy = session.begin(&id, "echo", &arguments).await.message().await;
            let expected = format!(
                r#"{{"jsonrpc":"2.0","id":{id},"result":{{"x-first":1,"content":[],"echo":{arguments}}}}}"#
            );
            assert_eq!(String::from_utf8_lossy(&legacy), expected);
            let params = call_params("echo", &arguments);
            let client = gateway.client("ann");
            let modern = client.modern_raw(&id, "tools/call", &params).await;
            let modern = { modern }.message().await;
            let modern = String::from_utf8_lossy(&modern).into_owned();
            assert!(
                modern.contains(&format!("\"echo\":{arguments}")),
                "{modern} {arguments}"
            );
            assert!(modern.contains(&format!("\"id\":{id},")), "{modern} {id}");
        }
    }
}

#[tokio::test]
async fn results_and_errors_arrive_unchanged() {
    let (stdio, http, _upstream) = kinds().await;
    let mut runner = TestRunner::new(Config::default());
    for gateway in [&stdio, &http] {
        let session = gateway.session().await;
        for _ in 0..50 {
            let result = sample(&arguments(), &mut runner);
            let call = format!("{{\"value\":{result}}}");
            let got = session.begin("5", "raw", &call).await.message().await;
            let expected = format!(r#"{{"jsonrpc":"2.0","id":5,"result":{result}}}"#);
            assert_eq!(String::from_utf8_lossy(&got), expected);
            let error = format!(r#"{{"code":-31234,"message":"m","data":{result},"x":1e400}}"#);
            let call = format!("{{\"value\":{error}}}");
            let got = session.begin("5", "error", &call).await.message().await;
            let expected = format!(r#"{{"jsonrpc":"2.0","id":5,"error":{error}}}"#);
            assert_eq!(String::from_utf8_lossy(&got), expected);
        }
    }
}

#[tokio::test]
async fn unknown_members_are_preserved_in_both_directions() {
    let (_, http, upstream) = kinds().await;
    let session = http.session().await;
    let body = r#"{"x-a":1e400,"params":{"z":[1,{"y":2}],"name":"echo","task":{"ttl":5},"arguments":{"b":1,"a":2},"_meta":{"q":1,"traceparent":"t"}},"id":"k","method":"tools/call","jsonrpc":"2.0"}"#;
    session.post(body).await.message().await;
    let seen = upstream.server.received_of("tools/call");
    let seen = String::from_utf8_lossy(&seen[0].body);
    // The gateway replaces only the id, to match the response.
    let (before, after) = body.split_once("\"k\"").unwrap();
    let id = seen
        .strip_prefix(before)
        .and_then(|rest| rest.strip_suffix(after));
    assert!(id.is_some_and(|id| id.parse::<u64>().is_ok()), "{seen}");
    let tools = http.session().await.request("tools/list", "{}").await;
    assert!(tools["result"]["tools"][0]["inputSchema"]["z"].is_number());
}

#[tokio::test]
async fn large_arguments_and_results_are_delivered() {
    let (stdio, http, _upstream) = kinds().await;
    for gateway in [&stdio, &http] {
        let session = gateway.session().await;
        let arguments = format!("{{\"big\":\"{}\"}}", "é\\n".repeat(5 << 18));
        assert!(arguments.len() > 5 << 20);
        let got = session.begin("1", "echo", &arguments).await.message().await;
        assert!(
            got.windows(arguments.len())
                .any(|window| window == arguments.as_bytes()),
            "5 MB came back otherwise"
        );
        let got = session.tool("blob", r#"{"n":10485760}"#).await;
        let text = got["result"]["content"][0]["text"].as_str().unwrap_or("");
        assert_eq!(text.len(), 10 << 20);
        let got = gateway
            .client("ann")
            .modern_tool("blob", r#"{"n":10485760}"#)
            .await;
        let text = got["result"]["content"][0]["text"].as_str().unwrap_or("");
        assert_eq!(text.len(), 10 << 20);
    }
}

#[tokio::test]
async fn multi_line_request_reaches_a_pipe_as_one_line() {
    let gateway = Gateway::new().server(scripted("x", &[])).run().await;
    let session = gateway.session().await;
    for line_break in ["\n", "\r\n", "\r"] {
        let body = r#"{
  "jsonrpc": "2.0",
  "id": "a",
  "method": "tools/call",
  "params": {
    "name": "echo",
    "arguments": { "text": "a\nb",
      "n": [1,
        2] }
  }
}
"#
        .replace('\n', line_break);
        let answer = session.post(&body).await.json().await;
        assert_eq!(answer["id"], "a", "{answer}");
        assert_eq!(answer["result"]["echo"]["text"], "a\nb");
        assert_eq!(answer["result"]["echo"]["n"][1], 2);
    }
}

#[tokio::test]
async fn string_and_number_ids_are_distinct_calls() {
    let (stdio, http, _upstream) = kinds().await;
    for gateway in [&stdio, &http] {
        let session = gateway.session().await;
        let mut text = session
            .begin_with_token("\"1\"", "\"t\"", "gate", r#"{"name":"g"}"#)
            .await;
        let mut number = session
            .begin_with_token("1", "1", "gate", r#"{"name":"g"}"#)
            .await;
        assert_eq!(
            text.event()
                .await
                .map(|event| event.json()["params"]["progressToken"].clone()),
            Some("t".into())
        );
        assert_eq!(
            number
                .event()
                .await
                .map(|event| event.json()["params"]["progressToken"].clone()),
            Some(1.into())
        );
        session.cancel("1").await;
        assert!(number.json().await["result"].is_null());
        session.tool("open", r#"{"name":"g"}"#).await;
        let answer = text.json().await;
        assert_eq!(answer["id"], "1", "{answer}");
        assert_eq!(answer["result"]["content"][0]["text"], "g");
    }
}

#[tokio::test]
async fn body_over_the_limit_is_rejected() {
    let gateway = Gateway::new()
        .server(scripted("x", &[]))
        .options(|options| options.max_body_bytes = 1000)
        .run()
        .await;
    let client: Client = gateway.client("ann");
    let body = modern_body(
        "1",
        "tools/call",
        &call_params("echo", &format!("\"{}\"", "x".repeat(2000))),
        "",
    );
    let mut response = client.send("POST", &[], body.as_bytes()).await;
    assert_eq!(response.status, 413);
    assert_eq!(json(&response.bytes().await)["error"]["code"], -32600);
}
