//! Redirects are followed within the origin, keeping method and body; credentials go nowhere else.

use mcp_orchestrator_core::server::{Launch, RemoteTransport};
use mcp_orchestrator_core::value::Text;
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::wait::until;

use crate::raw::{Raw, RawAction, events, json_body, said, say, usual, usual_in};

#[tokio::test]
async fn same_origin_redirect_keeps_method_and_body() {
    for status in [301, 302, 307, 308] {
        for location in [
            "/mcp/",
            "mcp/",
            "./mcp/",
            "HERE/mcp/",
            "//AUTHORITY/mcp/",
            "/mcp/?a=b#c",
        ] {
            let upstream = Raw::start(move |request| {
                if request.path == "/mcp" {
                    let authority = request.header("host").unwrap();
                    let location = location
                        .replace("HERE", &format!("http://{authority}"))
                        .replace("AUTHORITY", authority);
                    return say(status, &format!("location: {location}"), "moved");
                }
                usual_in(request, "mcp-session-id: s")
                    .unwrap_or_else(|| json_body(&request.answer("fine")))
            })
            .await;
            let gateway = Gateway::new().server(upstream.spec("x")).run().await;
            let session = gateway.session().await;
            assert_eq!(session.tools().await, ["t"], "{status} {location}");
            assert_eq!(said(&session.tool("t", "{}").await), "fine");
            let modern = gateway.client("bob").modern_tool("t", "{}").await;
            assert_eq!(said(&modern), "fine", "{status} {location}");
            session.delete().await;
            let followed = |verb: &str| upstream.count(|r| r.verb == verb && r.path != "/mcp");
            assert!(followed("GET") > 0 && followed("POST") > 0);
            until("the end of the session", || followed("DELETE") > 0).await;
        }
    }
}

#[tokio::test]
async fn credentials_are_never_sent_to_another_origin() {
    let thief = Raw::start(|request| {
        usual(request).unwrap_or_else(|| json_body(&request.answer("stolen")))
    })
    .await;
    let there = thief.address;
    for location in [
        format!("http://{there}/mcp"),
        format!("//{there}/mcp"),
        format!("http://127.0.0.1@{there}/mcp"),
        format!("http://localhost:{}/mcp", there.port()),
    ] {
        for status in [301, 302, 303, 307, 308] {
            let named = location.clone();
            let upstream = Raw::start(move |request| {
                usual(request).unwrap_or_else(|| say(status, &format!("location: {named}"), ""))
            })
            .await;
            let mut spec = upstream.spec("x");
            if let Launch::Remote(remote) = &mut spec.launch {
                let token = Text::Secret("Bearer hunter2hunter2".to_owned().into());
                remote.headers.insert("authorization".into(), token);
            }
            let gateway = Gateway::new().server(spec).run().await;
            let answer = gateway.session().await.tool("t", "{}").await;
            assert!(said(&answer).contains("redirects"), "{answer}");
        }
    }
    assert!(thief.seen().is_empty(), "{:?}", thief.seen());
}

#[tokio::test]
async fn redirect_loop_is_stopped() {
    let upstream =
        Raw::start(|request| usual(request).unwrap_or_else(|| say(307, "location: /mcp", "")))
            .await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let answer = gateway.session().await.tool("t", "{}").await;
    assert!(said(&answer).contains("times in a row"), "{answer}");
    assert!(upstream.calls() <= 6, "{}", upstream.calls());
    for headers in ["", "location: ", "location: http://["] {
        let upstream =
            Raw::start(move |request| usual(request).unwrap_or_else(|| say(307, headers, "")))
                .await;
        let gateway = Gateway::new().server(upstream.spec("x")).run().await;
        let answer = gateway.session().await.tool("t", "{}").await;
        assert!(said(&answer).contains("redirects"), "{headers:?} {answer}");
    }
}

#[tokio::test]
async fn legacy_sse_servers_may_redirect() {
    let upstream = Raw::start(|request| match (&request.verb[..], &request.path[..]) {
        ("GET", "/sse") => say(308, "location: /sse/", ""),
        ("GET", "/sse/") => vec![
            events(),
            RawAction::Say(b"event: endpoint\ndata: /messages\n\n".to_vec()),
            RawAction::Hang,
        ],
        ("POST", "/messages") => say(307, "location: /messages/", ""),
        _ => say(202, "", ""),
    })
    .await;
    let spec = upstream.spec_at("x", "/sse", RemoteTransport::Sse);
    let gateway = Gateway::new().server(spec).run().await;
    // The first client makes the gateway query the server's capabilities.
    let _session = gateway.session().await;
    until("the redirected message", || {
        upstream.count(|r| r.path == "/messages/" && r.method() == "initialize") > 0
    })
    .await;
}
