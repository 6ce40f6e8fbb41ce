//! Servers that send endlessly, or ask to be called without a delay.

use mcp_orchestrator_core::limits::{MAX_EVENT_FILLER, RECONNECT_MIN};
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::wait::{until, within};
use serde_json::json;
use tokio::time::Instant;

use crate::raw::{Raw, RawAction, answer, events, json_body, said, usual, usual_in};

#[tokio::test]
async fn stream_without_messages_fails_its_call() {
    for nothing in [
        ": ping\n\n",
        "\n",
        "\r\n",
        ":\n",
        "event: ping\ndata: x\n\n",
        "data: not json\n\n",
        "id: 1\n",
        "retry: 1\n\n",
        "data:\n\n",
    ] {
        let upstream = Raw::start(move |request| {
            usual(request)
                .unwrap_or_else(|| vec![events(), RawAction::Flood(nothing.repeat(1000).into())])
        })
        .await;
        let gateway = Gateway::new().server(upstream.spec("x")).run().await;
        let answer = within("the end", gateway.client("bob").modern_tool("t", "{}")).await;
        let text = said(&answer);
        assert!(
            text.contains(&MAX_EVENT_FILLER.to_string()),
            "{nothing:?} {answer}"
        );
    }
}

#[tokio::test]
async fn stream_of_foreign_responses_fails_its_call() {
    let foreign = format!("data: {}\n\n", answer(&json!("x"), "of somebody else"));
    let upstream = Raw::start(move |request| {
        usual(request)
            .unwrap_or_else(|| vec![events(), RawAction::Flood(foreign.repeat(100).into())])
    })
    .await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let answer = within("the end", gateway.session().await.tool("t", "{}")).await;
    assert!(said(&answer).contains("without a message"), "{answer}");
}

#[tokio::test]
async fn endless_event_fails_its_call() {
    for part in ["x", "data: x\n"] {
        let upstream = Raw::start(move |request| {
            usual(request).unwrap_or_else(|| {
                vec![
                    events(),
                    RawAction::Say(b"data: ".to_vec()),
                    RawAction::Flood(part.repeat(1000).into()),
                ]
            })
        })
        .await;
        let mut spec = upstream.spec("x");
        spec.limits.message_bytes = 1 << 20;
        let gateway = Gateway::new().server(spec).run().await;
        let answer = within("the end", gateway.session().await.tool("t", "{}")).await;
        assert!(said(&answer).contains("larger than 1048576"), "{answer}");
    }
}

#[tokio::test]
async fn endless_heads_and_bodies_fail_their_call() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    for (begin, flood) in [
        (String::new(), "HTTP/1.1 100 Continue\r\n\r\n"),
        (head.to_owned(), "x: y\r\n"),
        ("HTTP/1.1 200 OK\r\nx: ".to_owned(), "yyyyyyyy"),
        (format!("{head}\r\n"), "        "),
        (
            format!("{head}transfer-encoding: chunked\r\n\r\n"),
            "1\r\n \r\n",
        ),
        (
            format!("{head}transfer-encoding: chunked\r\n\r\n1;"),
            "xxxxxxxx",
        ),
    ] {
        let upstream = Raw::start(move |request| {
            usual(request).unwrap_or_else(|| {
                vec![
                    RawAction::Say(begin.clone().into()),
                    RawAction::Flood(flood.repeat(1000).into()),
                ]
            })
        })
        .await;
        let mut spec = upstream.spec("x");
        spec.limits.message_bytes = 1 << 20;
        let gateway = Gateway::new().server(spec).run().await;
        let answer = within("the end", gateway.session().await.tool("t", "{}")).await;
        assert!(!answer["error"].is_null(), "{flood:?} {answer}");
    }
}

#[tokio::test]
async fn streams_are_reopened_only_after_a_pause() {
    // However short the delay that the server requests, and whatever the stream contains.
    for brings in [
        "",
        "id: 1\ndata:\n\n",
        "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}\n\n",
    ] {
        let upstream = Raw::start(move |request| {
            if request.verb == "GET" {
                return vec![
                    events(),
                    RawAction::Say(format!("retry: 0\n\n{brings}").into()),
                    RawAction::Close,
                ];
            }
            usual_in(request, "mcp-session-id: s")
                .unwrap_or_else(|| json_body(&request.answer("fine")))
        })
        .await;
        let gateway = Gateway::new().server(upstream.spec("x")).run().await;
        gateway.session().await.tools().await;
        let gets = || upstream.count(|request| request.verb == "GET");
        until("the stream", || gets() >= 1).await;
        let (begin, before) = (Instant::now(), gets());
        until("two more", || gets() >= before + 2).await;
        // The first of them may have been under way.
        assert!(
            begin.elapsed() >= RECONNECT_MIN,
            "{brings:?} {:?}",
            begin.elapsed()
        );
    }
}

#[tokio::test]
async fn notification_flood_does_not_delay_others() {
    let log = json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": "info", "data": "x" } });
    let flood = format!("data: {log}\n\n").repeat(100);
    let upstream = Raw::start(move |request| {
        if request.verb == "GET" {
            return vec![events(), RawAction::Flood(flood.clone().into())];
        }
        usual_in(request, "mcp-session-id: s").unwrap_or_else(|| match request.tool() {
            "flood" => vec![events(), RawAction::Flood(flood.clone().into())],
            _ => json_body(&request.answer("fine")),
        })
    })
    .await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let session = gateway.session().await;
    let _listening = session.listen(None).await;
    // A client that does not read.
    let narrow = gateway.client("eve").narrow().session().await;
    let _flooded = narrow.begin("1", "flood", "{}").await;
    for _ in 0..20 {
        let answer = within("an honest call", session.tool("t", "{}")).await;
        assert_eq!(said(&answer), "fine");
    }
}
