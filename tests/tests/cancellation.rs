//! A client that leaves a call cancels it at the server, in each era and over each transport.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its tasks end with its runtime"
)]

use mcp_orchestrator_core::server::{EraChoice, ServerSpec};
use mcp_orchestrator_tests::client::{Session, call_params};
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::scripted::{Script, Upstream, scripted};
use mcp_orchestrator_tests::wait::{until, within};
use serde_json::Value;

async fn cancelled(session: &Session, count: usize) -> Value {
    within("a cancellation at the child", async {
        loop {
            let stats = session.tool("stats", "{}").await;
            let all = &stats["result"]["cancelled"];
            if all.as_array().is_some_and(|all| all.len() >= count) {
                assert_eq!(all.as_array().unwrap().len(), count, "{stats}");
                return all.clone();
            }
        }
    })
    .await
}

async fn in_flight(session: &Session, calls: u64) {
    within("a call at the child", async {
        while session.tool("stats", "{}").await["result"]["calls"].as_u64() < Some(calls) {}
    })
    .await;
}

fn of_era(era: &str) -> ServerSpec {
    let mut spec = scripted("x", &["--era", era]);
    if era == "modern" {
        spec.era = EraChoice::Modern;
    }
    spec
}

#[tokio::test]
async fn disconnect_of_a_modern_client_cancels_over_a_pipe() {
    for era in ["legacy", "modern"] {
        let gateway = Gateway::new().server(of_era(era)).run().await;
        let session = gateway.session().await;
        let client = gateway.client("ann");
        // The response head has not arrived, so the whole request is dropped.
        let leaving = client.clone();
        let call = tokio::spawn(async move { leaving.modern_tool("hang", "{}").await });
        in_flight(&session, 2).await;
        call.abort();
        cancelled(&session, 1).await;
        let params = call_params("hang", "{}");
        let meta = r#","progressToken":"t""#;
        let mut stream = client
            .modern_with("1", "tools/call", &params, meta, &[])
            .await;
        assert_eq!(
            stream.event().await.unwrap().json()["params"]["progressToken"],
            "t"
        );
        drop(stream);
        cancelled(&session, 2).await;
    }
}

#[tokio::test]
async fn disconnect_of_a_modern_client_cancels_over_http() {
    for modern in [false, true] {
        let script = Script {
            modern,
            legacy: !modern,
            ..Script::default()
        };
        let upstream = Upstream::start(script).await;
        let gateway = Gateway::new().server(upstream.spec("x")).run().await;
        let client = gateway.client("ann");
        let told = || {
            if modern {
                upstream.left()
            } else {
                upstream.server.cancelled().len()
            }
        };
        let leaving = client.clone();
        let call = tokio::spawn(async move { leaving.modern_tool("hang", "{}").await });
        until("the call", || upstream.server.calls() == 1).await;
        let before = told();
        call.abort();
        until("the first cancellation", || told() == before + 1).await;
        let params = call_params("hang", "{}");
        let meta = r#","progressToken":"t""#;
        let mut stream = client
            .modern_with("1", "tools/call", &params, meta, &[])
            .await;
        assert_eq!(
            stream.event().await.unwrap().json()["params"]["progressToken"],
            "t"
        );
        drop(stream);
        until("the second cancellation", || told() == before + 2).await;
        if !modern {
            let calls = upstream.server.received_of("tools/call");
            let ids: Vec<String> = calls
                .iter()
                .map(|call| mcp_orchestrator_tests::client::json(&call.body)["id"].to_string())
                .collect();
            assert_eq!(upstream.server.cancelled(), ids);
        }
    }
}

#[tokio::test]
async fn legacy_client_cancels_with_a_notification() {
    let upstream = Upstream::start(Script::default()).await;
    let gateways = [
        Gateway::new().server(of_era("legacy")).run().await,
        Gateway::new().server(of_era("modern")).run().await,
        Gateway::new().server(upstream.spec("x")).run().await,
    ];
    for gateway in &gateways {
        let session = gateway.session().await;
        let mut count = 0;
        for (id, token) in [
            ("\"a\"", false),
            ("\"b\"", true),
            ("17", false),
            ("18", true),
        ] {
            let calling = session.clone();
            let call = if token {
                let mut stream = session.begin_with_token(id, "3", "hang", "{}").await;
                assert_eq!(
                    stream.event().await.unwrap().json()["params"]["progressToken"],
                    3
                );
                tokio::spawn(async move { stream.json().await })
            } else {
                let before = session.tool("stats", "{}").await["result"]["calls"]
                    .as_u64()
                    .unwrap();
                let call =
                    tokio::spawn(async move { calling.begin(id, "hang", "{}").await.json().await });
                // Two more calls: the hanging one and `stats` itself.
                in_flight(&session, before + 2).await;
                call
            };
            session.cancel(id).await;
            count += 1;
            cancelled(&session, count).await;
            let answer = within("the call's end", call).await.unwrap();
            assert!(answer["result"].is_null(), "{answer}");
        }
        session.cancel("\"never\"").await;
        session.cancel("99").await;
        cancelled(&session, count).await;
    }
}

#[tokio::test]
async fn disconnect_of_a_legacy_client_cancels_nothing() {
    let gateway = Gateway::new().server(of_era("legacy")).run().await;
    let session = gateway.session().await;
    let mut stream = session
        .begin_with_token("1", "1", "gate", r#"{"name":"g"}"#)
        .await;
    stream.event().await.unwrap();
    drop(stream);
    let calling = session.clone();
    let call = tokio::spawn(async move { calling.tool("gate", r#"{"name":"g"}"#).await });
    in_flight(&session, 3).await;
    call.abort();
    session.tool("open", r#"{"name":"g"}"#).await;
    cancelled(&session, 0).await;
}

#[tokio::test]
async fn late_responses_are_ignored() {
    let gateway = Gateway::new().server(of_era("legacy")).run().await;
    let session = gateway.session().await;
    for id in ["1", "2", "3"] {
        let calling = session.clone();
        let before = session.tool("stats", "{}").await["result"]["calls"]
            .as_u64()
            .unwrap();
        let call = tokio::spawn(async move { calling.begin(id, "late", "{}").await.json().await });
        in_flight(&session, before + 2).await;
        session.cancel(id).await;
        let answer = within("the call's end", call).await.unwrap();
        assert!(answer["result"].is_null(), "{answer}");
        let answer = session.begin(id, "echo", "{}").await.json().await;
        assert!(answer["result"]["echo"].is_object(), "{answer}");
    }
}

#[tokio::test]
async fn concurrent_callers_with_equal_ids_and_tokens_get_their_own_results() {
    let legacy = Upstream::start(Script::default()).await;
    let both = Upstream::start(Script {
        modern: true,
        ..Script::default()
    })
    .await;
    let gateways = [
        Gateway::new().server(of_era("legacy")).run().await,
        Gateway::new().server(of_era("modern")).run().await,
        Gateway::new().server(legacy.spec("x")).run().await,
        Gateway::new().server(both.spec("x")).run().await,
    ];
    for (at, gateway) in gateways.iter().enumerate() {
        let mut streams = Vec::new();
        for n in 0..4 {
            let arguments = format!(r#"{{"name":"g{n}"}}"#);
            let stream = if n % 2 == 0 {
                let session = gateway.client("ann").session().await;
                session
                    .begin_with_token("1", "\"t\"", "gate", &arguments)
                    .await
            } else {
                let params = call_params("gate", &arguments);
                let meta = r#","progressToken":"t""#;
                let client = gateway.client("ann");
                client
                    .modern_with("1", "tools/call", &params, meta, &[])
                    .await
            };
            streams.push(stream);
        }
        for stream in &mut streams {
            let event = stream.event().await.unwrap().json();
            assert_eq!(
                event["params"]["progressToken"], "t",
                "gateway {at}: {event}"
            );
            assert_eq!(event["params"]["progress"], 1, "gateway {at}: {event}");
        }
        let session = gateway.client("bob").session().await;
        for (n, mut stream) in streams.into_iter().enumerate() {
            session.tool("open", &format!(r#"{{"name":"g{n}"}}"#)).await;
            let event = stream.event().await.unwrap().json();
            assert_eq!(event["params"]["progress"], 2, "gateway {at}: {event}");
            let answer = stream.json().await;
            assert_eq!(answer["id"], 1);
            assert_eq!(answer["result"]["content"][0]["text"], format!("g{n}"));
        }
    }
}

#[tokio::test]
async fn requests_in_flight_never_share_an_upstream_id_or_token() {
    let upstream = Upstream::start(Script::default()).await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let mut streams = Vec::new();
    for n in 0..3 {
        let params = call_params("gate", &format!(r#"{{"name":"g{n}"}}"#));
        let meta = r#","progressToken":"t""#;
        let client = gateway.client("ann");
        streams.push(
            client
                .modern_with("1", "tools/call", &params, meta, &[])
                .await,
        );
    }
    let seen = upstream.server.received_of("tools/call");
    let mut keys: Vec<String> = seen
        .iter()
        .map(|call| {
            let body = mcp_orchestrator_tests::client::json(&call.body);
            let session = call
                .headers
                .iter()
                .find(|(name, _)| name == "mcp-session-id");
            format!(
                "{session:?} {} {}",
                body["id"], body["params"]["_meta"]["progressToken"]
            )
        })
        .collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 3, "{keys:?}");
}
