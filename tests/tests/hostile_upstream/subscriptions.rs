//! A legacy HTTP server holds only the subscriptions that open streams and sessions want, each in its own session.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use mcp_orchestrator_core::id::GatewayId;
use mcp_orchestrator_core::router::{GatewaySpec, Members, ToolNames};
use mcp_orchestrator_tests::client::Response;
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::wait::{until, within};
use serde_json::json;

use crate::raw::{Raw, say, usual_in};

const URI: &str = r#"{"uri":"mem://a"}"#;

async fn upstream() -> Raw {
    let opened = AtomicUsize::new(0);
    Raw::start(move |request| {
        let mut headers = "content-type: application/json".to_owned();
        let result = match request.method() {
            "initialize" => {
                let name = opened.fetch_add(1, Ordering::AcqRel);
                headers.push_str(&format!("\nmcp-session-id: s{name}"));
                json!({
                    "protocolVersion": "2025-06-18",
                    "capabilities": { "resources": { "subscribe": true } },
                    "serverInfo": { "name": "raw", "version": "1" },
                })
            }
            "resources/list" => json!({ "resources": [{ "uri": "mem://a", "name": "a" }] }),
            "resources/subscribe" | "resources/unsubscribe" => json!({}),
            _ => return usual_in(request, "").unwrap(),
        };
        let body = json!({ "jsonrpc": "2.0", "id": request.id(), "result": result });
        say(200, &headers, body.to_string())
    })
    .await
}

/// Returns the sessions with a subscription.
fn held(upstream: &Raw) -> BTreeSet<String> {
    let mut held = BTreeSet::new();
    for request in upstream.seen() {
        let session = request.header("mcp-session-id").unwrap_or_default();
        match request.method() {
            "resources/subscribe" => drop(held.insert(session.to_owned())),
            "resources/unsubscribe" => drop(held.remove(session)),
            _ if request.verb == "DELETE" => drop(held.remove(session)),
            _ => {}
        }
    }
    held
}

async fn listen(gateway: &Gateway) -> Response {
    let wants = r#"{"notifications":{"resourceSubscriptions":["mem://a"]}}"#;
    let client = gateway.client("ann");
    let mut stream = client.modern_raw("1", "subscriptions/listen", wants).await;
    let acknowledged = within("the acknowledgement", stream.event())
        .await
        .unwrap()
        .json();
    let accepted = &acknowledged["params"]["notifications"]["resourceSubscriptions"];
    assert_eq!(*accepted, json!(["mem://a"]), "{acknowledged}");
    stream
}

#[tokio::test]
async fn subscription_of_a_stream_ends_with_it() {
    let upstream = upstream().await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let (one, two) = (listen(&gateway).await, listen(&gateway).await);
    assert_eq!(held(&upstream).len(), 1);
    drop(one);
    let three = listen(&gateway).await;
    drop(two);
    let four = listen(&gateway).await;
    assert_eq!(held(&upstream).len(), 1);
    drop((three, four));
    until("the end of the subscription", || held(&upstream).is_empty()).await;
}

#[tokio::test]
async fn subscriptions_of_sessions_and_streams_are_separate() {
    let upstream = upstream().await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let (session, other) = (gateway.session().await, gateway.session().await);
    for session in [&session, &other] {
        let answer = session.request("resources/subscribe", URI).await;
        assert!(answer["result"].is_object(), "{answer}");
    }
    let stream = listen(&gateway).await;
    assert_eq!(held(&upstream).len(), 3);
    session.request("resources/unsubscribe", URI).await;
    assert_eq!(held(&upstream).len(), 2);
    other.delete().await;
    until("the end of the session's subscription", || {
        held(&upstream).len() == 1
    })
    .await;
    drop(stream);
    until("the end of the stream's subscription", || {
        held(&upstream).is_empty()
    })
    .await;
}

#[tokio::test]
async fn subscriptions_end_with_the_right_to_them() {
    let upstream = upstream().await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let session = gateway.session().await;
    session.request("resources/subscribe", URI).await;
    let _stream = listen(&gateway).await;
    assert_eq!(held(&upstream).len(), 2);
    gateway.router.replace([GatewaySpec {
        id: GatewayId::default_gateway(),
        members: Members::Everybody,
        names: ToolNames::Auto,
        entries: Vec::new(),
    }]);
    gateway.orchestrator.recheck();
    until("the end of both subscriptions", || {
        held(&upstream).is_empty()
    })
    .await;
}
