//! Every client works with every server: four combinations of eras, over both transports.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its tasks end with its runtime"
)]

use mcp_orchestrator_core::server::{EraChoice, Isolation, ServerSpec};
use mcp_orchestrator_tests::client::{Session, json, modern_body};
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::scripted::{Script, Upstream, scripted};
use mcp_orchestrator_tests::wait::within;

fn pipe(era: &str) -> ServerSpec {
    let mut spec = scripted("x", &["--era", era]);
    if era == "modern" {
        spec.era = EraChoice::Modern;
    }
    spec
}

/// Gateways in front of a legacy and a modern server over each transport.
async fn all() -> (Vec<Gateway>, Vec<Upstream>) {
    let (mut gateways, mut upstreams) = (Vec::new(), Vec::new());
    for modern in [false, true] {
        let script = Script {
            modern,
            legacy: !modern,
            ..Script::default()
        };
        let upstream = Upstream::start(script).await;
        gateways.push(
            Gateway::new()
                .server(pipe(if modern { "modern" } else { "legacy" }))
                .run()
                .await,
        );
        gateways.push(Gateway::new().server(upstream.spec("x")).run().await);
        upstreams.push(upstream);
    }
    (gateways, upstreams)
}

#[tokio::test]
async fn plain_calls_and_lists_cross_in_their_callers_words() {
    let (gateways, _upstreams) = all().await;
    for gateway in &gateways {
        let session = gateway.session().await;
        let client = gateway.client("ann");
        for (method, params, cached) in [
            ("tools/list", "{}", true),
            ("resources/list", "{}", true),
            ("resources/templates/list", "{}", true),
            ("resources/read", r#"{"uri":"test://a"}"#, true),
        ] {
            let legacy = session.request(method, params).await;
            let result = legacy["result"]
                .as_object()
                .unwrap_or_else(|| panic!("{method}: {legacy}"));
            for word in ["resultType", "ttlMs", "cacheScope"] {
                assert!(!result.contains_key(word), "{method}: {legacy}");
            }
            let modern = client.modern(method, params).await;
            assert_eq!(
                modern["result"]["resultType"], "complete",
                "{method}: {modern}"
            );
            assert_eq!(
                modern["result"]["ttlMs"].is_u64(),
                cached,
                "{method}: {modern}"
            );
            assert_eq!(
                modern["result"]["cacheScope"].is_string(),
                cached,
                "{method}: {modern}"
            );
        }
    }
}

#[tokio::test]
async fn errors_cross_with_the_code_of_their_callers_dialect() {
    let (gateways, _upstreams) = all().await;
    for gateway in &gateways {
        let session = gateway.session().await;
        let client = gateway.client("ann");
        let unknown = r#"{"uri":"test://nothing"}"#;
        let legacy = session.request("resources/read", unknown).await;
        assert_eq!(legacy["error"]["code"], -32002, "{legacy}");
        assert_eq!(legacy["error"]["data"]["uri"], "test://nothing", "{legacy}");
        let modern = client.modern("resources/read", unknown).await;
        assert_eq!(modern["error"]["code"], -32602, "{modern}");
        assert_eq!(modern["error"]["data"]["uri"], "test://nothing", "{modern}");
        let own = r#"{"value":{"code":-31000,"message":"m","data":{"d":1}}}"#;
        assert_eq!(session.tool("error", own).await["error"]["code"], -31000);
        assert_eq!(
            client.modern_tool("error", own).await["error"]["data"]["d"],
            1
        );
    }
}

#[tokio::test]
async fn methods_of_one_era_are_unknown_in_the_other() {
    let (gateways, _upstreams) = all().await;
    for gateway in &gateways {
        let session = gateway.session().await;
        let client = gateway.client("ann");
        assert!(session.request("ping", "{}").await["result"].is_object());
        for method in [
            "initialize",
            "ping",
            "logging/setLevel",
            "resources/subscribe",
        ] {
            let mut response = client
                .modern_raw("1", method, r#"{"uri":"test://a","level":"info"}"#)
                .await;
            assert_eq!(response.status, 404, "{method}");
            assert_eq!(response.json().await["error"]["code"], -32601, "{method}");
        }
        for method in ["server/discover", "subscriptions/listen"] {
            let answer = session.request(method, "{}").await;
            assert_eq!(answer["error"]["code"], -32601, "{answer}");
        }
        let discovered = client.modern("server/discover", "{}").await;
        let result = &discovered["result"];
        assert_eq!(result["supportedVersions"][0], "2026-07-28", "{discovered}");
        assert_eq!(result["resultType"], "complete");
        assert!(result["capabilities"]["tools"].is_object());
        assert!(result["_meta"]["io.modelcontextprotocol/serverInfo"].is_object());
    }
}

#[tokio::test]
async fn headers_that_disagree_with_the_body_are_refused() {
    let (gateways, _upstreams) = all().await;
    let client = gateways[0].client("ann");
    let body = modern_body("1", "tools/call", r#"{"name":"echo"}"#, "");
    for (version, method, name, code) in [
        ("2026-07-28", "tools/list", "echo", -32020),
        ("2026-07-28", "tools/call", "other", -32020),
        ("2025-11-25", "tools/call", "echo", -32020),
    ] {
        let headers = [
            ("mcp-protocol-version", version),
            ("mcp-method", method),
            ("mcp-name", name),
        ];
        let mut response = client.send("POST", &headers, body.as_bytes()).await;
        assert_eq!(response.status, 400);
        assert_eq!(json(&response.bytes().await)["error"]["code"], code);
    }
}

async fn listen(gateway: &Gateway) -> mcp_orchestrator_tests::client::Response {
    let wants =
        r#"{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["test://a"]}}"#;
    let mut stream = gateway
        .client("ann")
        .modern_raw("\"L\"", "subscriptions/listen", wants)
        .await;
    let first = stream.event().await.unwrap().json();
    assert_eq!(
        first["method"], "notifications/subscriptions/acknowledged",
        "{first}"
    );
    assert_eq!(
        first["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"],
        "L"
    );
    assert_eq!(first["params"]["notifications"]["toolsListChanged"], true);
    stream
}

async fn until_method(
    stream: &mut mcp_orchestrator_tests::client::Response,
    method: &str,
) -> serde_json::Value {
    loop {
        let event = stream
            .event()
            .await
            .unwrap_or_else(|| panic!("no {method}"))
            .json();
        if event["method"] == method {
            return event;
        }
    }
}

#[tokio::test]
async fn list_changes_reach_listeners_of_both_dialects() {
    let (gateways, upstreams) = all().await;
    for (at, gateway) in gateways.iter().enumerate() {
        let session: Session = gateway.session().await;
        session.tools().await;
        let mut modern = listen(gateway).await;
        let mut legacy = session.listen(None).await;
        if at == 1 {
            // A legacy HTTP server reports it on its sessions' own streams.
            within("the engine's stream", async {
                while upstreams[0].listening() == 0 {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
        session.tool("change", r#"{"n":30}"#).await;
        let method = "notifications/tools/list_changed";
        until_method(&mut legacy, method).await;
        let event = until_method(&mut modern, method).await;
        assert_eq!(
            event["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], "L",
            "gateway {at}"
        );
        within("the new tools", async {
            while !session.tools().await.contains(&"tool-29".to_owned()) {}
        })
        .await;
    }
}

async fn resource_updates(at: usize) {
    let (gateways, _upstreams) = all().await;
    let gateway = &gateways[at];
    let session = gateway.session().await;
    session.tools().await;
    let mut modern = listen(gateway).await;
    let mut legacy = session.listen(None).await;
    let answer = session
        .request("resources/subscribe", r#"{"uri":"test://a"}"#)
        .await;
    assert!(answer["result"].is_object(), "gateway {at}: {answer}");
    session.tool("update", r#"{"text":"test://a"}"#).await;
    let method = "notifications/resources/updated";
    assert_eq!(
        until_method(&mut legacy, method).await["params"]["uri"],
        "test://a"
    );
    assert_eq!(
        until_method(&mut modern, method).await["params"]["uri"],
        "test://a"
    );
}

#[tokio::test]
async fn an_update_right_after_its_acknowledgement_reaches_each_listener() {
    let (gateways, _upstreams) = all().await;
    for (at, gateway) in gateways.iter().enumerate() {
        let client = gateway.client("ann");
        for round in 0..8 {
            let mut stream = listen(gateway).await;
            let updated = client.modern_tool("update", r#"{"text":"test://a"}"#).await;
            assert!(updated["result"].is_object(), "{updated}");
            let event = until_method(&mut stream, "notifications/resources/updated").await;
            assert_eq!(event["params"]["uri"], "test://a", "{at} {round}: {event}");
        }
    }
}

#[tokio::test]
async fn updates_of_a_legacy_pipe_reach_both() {
    resource_updates(0).await;
}

#[tokio::test]
async fn updates_of_a_legacy_http_server_reach_both() {
    resource_updates(1).await;
}

#[tokio::test]
async fn updates_of_a_modern_pipe_reach_both() {
    resource_updates(2).await;
}

#[tokio::test]
async fn updates_of_a_modern_http_server_reach_both() {
    resource_updates(3).await;
}

#[tokio::test]
async fn a_subscription_ends_upstream_with_its_last_subscriber() {
    let gateway = Gateway::new().server(pipe("legacy")).run().await;
    let (one, two) = (gateway.session().await, gateway.session().await);
    let uri = r#"{"uri":"test://a"}"#;
    let subscribed = async || {
        one.tool("stats", "{}").await["result"]["subscribed"]
            .as_array()
            .unwrap()
            .len()
    };
    one.request("resources/subscribe", uri).await;
    two.request("resources/subscribe", uri).await;
    assert_eq!(subscribed().await, 1);
    assert!(one.request("resources/unsubscribe", uri).await["result"].is_object());
    assert_eq!(subscribed().await, 1, "another session still wants it");
    assert!(two.request("resources/unsubscribe", uri).await["result"].is_object());
    assert_eq!(subscribed().await, 0);
}

#[tokio::test]
async fn untranslatable_server_request_is_rejected_without_cancelling_the_call() {
    let upstream = Upstream::start(Script::default()).await;
    let mut own = scripted("own", &["--era", "legacy"]);
    own.isolation = Isolation::Principal;
    let gateway = Gateway::new()
        .server(upstream.spec("http"))
        .server(own)
        .run()
        .await;
    let ann = gateway.client("ann");
    for method in ["elicitation/create", "sampling/createMessage", "roots/list"] {
        for server in ["http", "own"] {
            let arguments = format!(r#"{{"method":"{method}","value":{{}}}}"#);
            let answer = ann.modern_tool(&format!("{server}__ask"), &arguments).await;
            let refusal = &answer["result"]["answer"]["error"]["code"];
            assert_eq!(*refusal, -32601, "{server}: {answer}");
        }
    }
    let stats = ann.modern_tool("own__stats", "{}").await;
    assert_eq!(
        stats["result"]["cancelled"],
        serde_json::json!([]),
        "{stats}"
    );
    assert!(upstream.server.cancelled().is_empty());
}
