//! Detection of a server's HTTP transport if its spec does not name one.

use mcp_orchestrator_core::server::RemoteTransport;
use mcp_orchestrator_core::server::{Launch, ServerSpec};
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::scripted::{Script, SseUpstream, Upstream};

use crate::raw::{Raw, json_body, said, say, usual, usual_modern};

fn detected(mut spec: ServerSpec) -> ServerSpec {
    if let Launch::Remote(remote) = &mut spec.launch {
        remote.transport = RemoteTransport::Detect;
    }
    spec
}

#[tokio::test]
async fn transport_of_a_server_is_detected() {
    let sse = SseUpstream::start().await;
    let http = Upstream::start(Script::default()).await;
    let both = Upstream::start(Script {
        modern: true,
        ..Script::default()
    })
    .await;
    let modern = Raw::start(|request| {
        usual_modern(request).unwrap_or_else(|| json_body(&request.answer("fine")))
    })
    .await;
    for (name, spec, tool) in [
        ("sse", sse.spec("x"), "echo"),
        ("http", http.spec("x"), "echo"),
        ("both eras", both.spec("x"), "echo"),
        ("modern", modern.spec("x"), "t"),
    ] {
        let gateway = Gateway::new().server(detected(spec)).run().await;
        let answer = gateway.session().await.tool(tool, "{}").await;
        assert!(answer["error"].is_null(), "{name} {answer}");
        let answer = gateway.client("bob").modern_tool(tool, "{}").await;
        assert!(answer["error"].is_null(), "{name} {answer}");
    }
    assert_eq!(
        http.sessions(),
        usize::try_from(http.opened()).unwrap() - http.deleted(),
        "the question left none behind"
    );
}

#[tokio::test]
async fn a_refused_post_is_followed_by_a_get() {
    for status in [400, 404, 405, 406, 415, 501] {
        let upstream = Raw::start(move |request| match &request.verb[..] {
            "GET" => say(404, "", ""),
            _ => say(status, "content-type: text/plain", "no"),
        })
        .await;
        let gateway = Gateway::new()
            .server(detected(upstream.spec("x")))
            .run()
            .await;
        let answer = gateway.session().await.tool("t", "{}").await;
        assert!(said(&answer).contains(&status.to_string()), "{answer}");
        assert!(upstream.count(|request| request.verb == "GET") > 0);
    }
    for status in [401, 403, 429, 500] {
        let upstream = Raw::start(move |_| say(status, "", "")).await;
        let gateway = Gateway::new()
            .server(detected(upstream.spec("x")))
            .run()
            .await;
        let answer = gateway.session().await.tool("t", "{}").await;
        assert!(said(&answer).contains(&status.to_string()), "{answer}");
        assert_eq!(
            upstream.count(|request| request.verb == "GET"),
            0,
            "{status}"
        );
    }
    let upstream =
        Raw::start(|request| usual(request).unwrap_or_else(|| json_body(&request.answer("fine"))))
            .await;
    let gateway = Gateway::new()
        .server(detected(upstream.spec("x")))
        .run()
        .await;
    assert_eq!(said(&gateway.session().await.tool("t", "{}").await), "fine");
}

/// A server that supports one client at a time treats a second stream as a new client.
#[tokio::test]
async fn the_stream_opened_for_transport_detection_is_reused() {
    let sse = SseUpstream::start().await;
    let gateway = Gateway::new().server(detected(sse.spec("x"))).run().await;
    let session = gateway.session().await;
    for _ in 0..3 {
        let answer = session.tool("echo", "{}").await;
        assert!(answer["error"].is_null(), "{answer}");
    }
    assert_eq!(sse.opened(), 1);
}

#[tokio::test]
async fn detected_transport_adds_no_request_to_a_call() {
    let mut costs = Vec::new();
    for transport in [RemoteTransport::StreamableHttp, RemoteTransport::Detect] {
        let upstream = Raw::start(|request| {
            usual(request).unwrap_or_else(|| json_body(&request.answer("fine")))
        })
        .await;
        let mut spec = upstream.spec("x");
        if let Launch::Remote(remote) = &mut spec.launch {
            remote.transport = transport;
        }
        let gateway = Gateway::new().server(spec).run().await;
        let session = gateway.session().await;
        session.tool("t", "{}").await;
        let before = upstream.count(|request| request.verb == "POST");
        for _ in 0..20 {
            assert_eq!(said(&session.tool("t", "{}").await), "fine");
        }
        costs.push(upstream.count(|request| request.verb == "POST") - before);
    }
    assert_eq!(costs, [20, 20]);
}
