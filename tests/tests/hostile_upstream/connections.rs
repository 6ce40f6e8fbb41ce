//! Connections that end early or deliver unrequested data.

use std::sync::Arc;

use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::wait::until;
use tokio::sync::Notify;

use crate::raw::{Raw, RawAction, Request, json_body, said, say, usual};

#[tokio::test]
async fn closed_kept_alive_connection_is_not_reused() {
    let upstream = Raw::start(|request| {
        let mut acts = usual(request).unwrap_or_else(|| json_body(&request.answer("fine")));
        acts.push(RawAction::Close);
        acts
    })
    .await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let (session, client) = (gateway.session().await, gateway.client("bob"));
    for _ in 0..10 {
        assert_eq!(said(&client.modern_tool("t", "{}").await), "fine");
        assert_eq!(said(&session.tool("t", "{}").await), "fine");
    }
}

#[tokio::test]
async fn list_is_retried_when_a_kept_alive_connection_fails() {
    // The server reads the request on a kept connection and closes it without a response.
    let upstream = Raw::start(|request| {
        if request.turn > 1 && request.method().ends_with("/read") {
            return vec![RawAction::Close];
        }
        if request.method() == "resources/read" {
            let contents =
                serde_json::json!({ "contents": [{ "uri": "test://a", "text": "fine" }] });
            return json_body(
                &serde_json::json!({ "jsonrpc": "2.0", "id": request.id(), "result": contents }),
            );
        }
        usual(request).unwrap_or_else(|| json_body(&request.answer("fine")))
    })
    .await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let session = gateway.session().await;
    for _ in 0..5 {
        assert_eq!(said(&session.tool("t", "{}").await), "fine");
        let read = session
            .request("resources/read", r#"{"uri":"test://a"}"#)
            .await;
        assert_eq!(read["result"]["contents"][0]["text"], "fine", "{read}");
    }
}

#[tokio::test]
async fn call_that_may_have_been_executed_is_not_retried() {
    let upstream = Raw::start(|request| {
        usual(request).unwrap_or_else(|| match request.tool() {
            "cut" => vec![RawAction::Close],
            "half" => vec![
                RawAction::Say(b"HTTP/1.1 200 OK\r\ncontent-le".to_vec()),
                RawAction::Close,
            ],
            _ => json_body(&request.answer("fine")),
        })
    })
    .await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let session = gateway.session().await;
    for tool in ["cut", "half"] {
        session.tool("t", "{}").await;
        let before = upstream.calls();
        let answer = session.tool(tool, "{}").await;
        assert_eq!(answer["error"]["code"], 1003, "{answer}");
        assert_eq!(upstream.calls(), before + 1, "{tool}");
    }
    assert_eq!(said(&session.tool("t", "{}").await), "fine");
}

#[tokio::test]
async fn unsolicited_data_on_a_kept_alive_connection_is_not_a_response() {
    let word = Arc::new(Notify::new());
    let more = Arc::clone(&word);
    let upstream = Raw::start(move |request| {
        usual(request).unwrap_or_else(|| {
            let mut acts = json_body(&request.answer("fine"));
            if request.tool() == "chatty" {
                acts.push(RawAction::Until(Arc::clone(&more)));
                acts.extend(json_body(&request.answer("unasked")));
                acts.push(RawAction::Until(Arc::clone(&more)));
            }
            acts
        })
    })
    .await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let session = gateway.session().await;
    for _ in 0..5 {
        assert_eq!(said(&session.tool("chatty", "{}").await), "fine");
        word.notify_one();
        let answer = session.tool("t", "{}").await;
        assert_ne!(said(&answer), "unasked", "{answer}");
        word.notify_one();
    }
}

#[tokio::test]
async fn keep_alive_limits_of_the_server_are_respected() {
    let upstream = Raw::start(|request| {
        let acts = usual(request).unwrap_or_else(|| json_body(&request.answer("fine")));
        let Some(RawAction::Say(bytes)) = acts.first() else {
            return acts;
        };
        let text = String::from_utf8(bytes.clone()).unwrap();
        vec![RawAction::Say(
            text.replacen("\r\n", "\r\nKeep-Alive: timeout=1, max=5\r\n", 1)
                .into(),
        )]
    })
    .await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let session = gateway.session().await;
    for _ in 0..3 {
        assert_eq!(said(&session.tool("t", "{}").await), "fine");
    }
    let reused = upstream.count(|request| request.turn > 1);
    assert_eq!(reused, 0, "one second is too short to rely on");
}

#[tokio::test]
async fn connection_is_reused_after_every_kind_of_response() {
    let upstream = Raw::start(|request: &Request| {
        usual(request).unwrap_or_else(|| match request.tool() {
            "refused" => say(400, "content-type: text/plain", "no"),
            "empty" => say(500, "", ""),
            "json" => crate::raw::json_status(422, &crate::raw::error(request.id(), -1, "no")),
            "html" => say(200, "content-type: text/html", "<p>"),
            _ => json_body(&request.answer("fine")),
        })
    })
    .await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let session = gateway.session().await;
    session.tool("t", "{}").await;
    until("the engine to be done", || {
        upstream.count(|r| r.method() == "tools/list") > 0
    })
    .await;
    let connections = || {
        let seen = upstream.seen();
        seen.iter()
            .map(|request| request.connection)
            .max()
            .unwrap_or_default()
    };
    session.tool("t", "{}").await;
    let before = connections();
    for tool in ["refused", "empty", "json", "html", "t", "refused", "t"] {
        session.tool(tool, "{}").await;
    }
    assert!(connections() <= before + 1, "{} {before}", connections());
}
