//! A response belongs to the request with its id.

use std::sync::Arc;

use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::wait::until;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::raw::{
    Raw, RawAction, Request, answer, error, event, events, json_body, json_status, said, usual,
    usual_modern,
};

/// Calls `t` in a legacy session and as a modern client, and returns both answers; their ids must be the callers' own.
async fn both(gateway: &Gateway) -> [Value; 2] {
    let session = gateway.session().await;
    let legacy = session.begin("\"mine\"", "t", "{}").await.json().await;
    let client = gateway.client("bob");
    let params = r#"{"name":"t","arguments":{}}"#;
    let modern = client.modern_raw("\"mine\"", "tools/call", params).await;
    let modern = { modern }.json().await;
    for answer in [&legacy, &modern] {
        assert_eq!(answer["id"], "mine", "{answer}");
    }
    [legacy, modern]
}

async fn run(call: impl Fn(&Request) -> Vec<RawAction> + Send + Sync + 'static) -> [Value; 2] {
    let upstream = Raw::start(move |request| usual(request).unwrap_or_else(|| call(request))).await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    both(&gateway).await
}

#[tokio::test]
async fn response_to_another_request_is_not_delivered() {
    for id in [
        json!(99_999),
        json!("somebody"),
        json!(-1),
        json!(0),
        json!("mine"),
        json!(1.5),
    ] {
        for answer in run(move |_| json_body(&answer(&id, "of somebody else"))).await {
            assert!(!answer.to_string().contains("somebody else"), "{answer}");
            assert!(said(&answer).contains("another request"), "{answer}");
            assert_eq!(answer["error"]["code"], 1005, "{answer}");
        }
    }
}

#[tokio::test]
async fn error_for_another_request_is_not_delivered() {
    // With status 200, an unknown id belongs to another request. With 400, an id that was given to another request
    // does.
    let first = Arc::new(parking_lot::Mutex::new(None));
    let upstream = Raw::start(move |request| {
        usual(request).unwrap_or_else(|| {
            let mut first = first.lock();
            let before = first.replace(request.id().clone());
            match before {
                None => json_body(&request.answer("fine")),
                Some(id) => json_status(400, &error(&id, -32000, "of somebody else")),
            }
        })
    })
    .await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let session = gateway.session().await;
    assert_eq!(said(&session.tool("t", "{}").await), "fine");
    let second = session.tool("t", "{}").await;
    assert!(!second.to_string().contains("of somebody else"), "{second}");
}

#[tokio::test]
async fn foreign_responses_on_a_stream_are_skipped() {
    for id in [
        json!("somebody"),
        json!(99_999),
        json!("mine"),
        json!({ "a": 1 }),
    ] {
        let answers = run(move |request| {
            vec![
                events(),
                event(&answer(&id, "of somebody else")),
                event(&error(&id, -1, "of somebody else")),
                event(&error(&Value::Null, -1, "of nobody")),
                event(&request.answer("fine")),
                RawAction::Close,
            ]
        })
        .await;
        for answer in answers {
            assert_eq!(said(&answer), "fine", "{answer}");
        }
    }
}

#[tokio::test]
async fn error_without_an_id_is_used_if_no_other_response_arrives() {
    let answers = run(|_| {
        vec![
            events(),
            event(&error(&Value::Null, -32099, "broken")),
            RawAction::Close,
        ]
    })
    .await;
    for answer in answers {
        assert_eq!(said(&answer), "broken", "{answer}");
    }
    for answer in run(|_| json_body(&error(&Value::Null, -32099, "broken"))).await {
        assert_eq!(said(&answer), "broken", "{answer}");
    }
}

#[tokio::test]
async fn refusal_carries_the_id_of_the_caller() {
    let ids = [
        json!(null),
        json!("server-error"),
        json!(-1),
        json!(0),
        json!(""),
    ];
    for (status, id) in [400, 404, 422, 500, 503]
        .into_iter()
        .flat_map(|status| ids.clone().map(|id| (status, id)))
    {
        let answers = run(move |_| json_status(status, &error(&id, -32602, "refused"))).await;
        for answer in answers {
            assert_eq!(said(&answer), "refused", "{status} {answer}");
        }
    }
    let nameless = json!({ "jsonrpc": "2.0", "error": { "code": -32602, "message": "refused" } });
    for answer in run(move |_| json_status(400, &nameless)).await {
        assert_eq!(said(&answer), "refused", "{answer}");
    }
}

#[tokio::test]
async fn id_may_be_returned_as_text_or_with_a_decimal_point() {
    let shapes: [fn(&Value) -> Value; 3] = [
        |id| json!(id.to_string()),
        |id| serde_json::from_str(&format!("{id}.0")).unwrap(),
        |id| json!(format!("{id}.0")),
    ];
    for shape in shapes {
        for answer in run(move |request| json_body(&answer(&shape(request.id()), "fine"))).await {
            assert_eq!(said(&answer), "fine", "{answer}");
        }
        let answers = run(move |request| {
            vec![
                events(),
                event(&answer(&shape(request.id()), "fine")),
                RawAction::Close,
            ]
        });
        for answer in answers.await {
            assert_eq!(said(&answer), "fine", "{answer}");
        }
    }
}

#[tokio::test]
async fn response_is_found_within_a_batch() {
    let progress = json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": "info", "data": 1 } });
    let batch = move |request: &Request| {
        json!([
            answer(&json!("x"), "of somebody else"),
            progress,
            5,
            request.answer("fine")
        ])
    };
    let other = batch.clone();
    for answer in run(move |request| json_body(&batch(request))).await {
        assert_eq!(said(&answer), "fine", "{answer}");
    }
    for answer in run(move |request| vec![events(), event(&other(request)), RawAction::Close]).await
    {
        assert_eq!(said(&answer), "fine", "{answer}");
    }
    for answer in run(|_| json_body(&json!([answer(&json!("x"), "of somebody else")]))).await {
        assert!(said(&answer).contains("another request"), "{answer}");
    }
}

#[tokio::test]
async fn callers_with_equal_ids_never_get_each_others_responses() {
    // A retrying proxy: the second copy arrives when the connection already serves the next caller.
    let again = Arc::new(Notify::new());
    let word = Arc::clone(&again);
    let upstream = Raw::start(move |request| {
        usual(request).unwrap_or_else(|| {
            let mail = request.answer(&format!("mail of {}", request.argument("who")));
            let acts = json_body(&mail);
            if request.argument("who") == "ann" {
                let copy = acts.clone();
                let word = Arc::clone(&word);
                return acts
                    .into_iter()
                    .chain([RawAction::Until(word)])
                    .chain(copy)
                    .collect();
            }
            acts
        })
    })
    .await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let (ann, bob) = (
        gateway.client("ann").session().await,
        gateway.client("bob").session().await,
    );
    for _ in 0..5 {
        let mail = ann.begin("1", "t", r#"{"who":"ann"}"#).await.json().await;
        assert_eq!(said(&mail), "mail of \"ann\"");
        let calls = upstream.calls();
        let waiting = {
            let bob = bob.clone();
            tokio::spawn(async move { bob.begin("1", "t", r#"{"who":"bob"}"#).await.json().await })
        };
        // Bob's request is written, or about to be, when the copy arrives.
        tokio::task::yield_now().await;
        again.notify_one();
        let mail = waiting.await.unwrap();
        assert!(!mail.to_string().contains("ann"), "{mail}");
        let _ = calls;
    }
    until("bob's calls", || upstream.calls() >= 5).await;
}

#[tokio::test]
async fn duplicate_response_closes_the_connection() {
    let upstream = Raw::start(|request| {
        usual(request).unwrap_or_else(|| {
            let Some(RawAction::Say(one)) = json_body(&request.answer("fine")).pop() else {
                unreachable!("it says something")
            };
            vec![RawAction::Say([&one[..], &one[..]].concat())]
        })
    })
    .await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let session = gateway.session().await;
    for _ in 0..3 {
        assert_eq!(said(&session.tool("t", "{}").await), "fine");
    }
    let calls: Vec<_> = upstream
        .seen()
        .into_iter()
        .filter(Request::is_call)
        .collect();
    let connections: std::collections::HashSet<_> =
        calls.iter().map(|call| call.connection).collect();
    assert_eq!(
        connections.len(),
        calls.len(),
        "each call had a connection of its own"
    );
}

#[tokio::test]
async fn correlation_is_enforced_for_modern_servers() {
    let upstream = Raw::start(|request| {
        usual_modern(request).unwrap_or_else(|| match request.argument("how").as_str() {
            Some("json") => json_body(&answer(&json!("mine"), "of somebody else")),
            Some("error") => json_status(500, &error(&json!(null), -32000, "broken")),
            _ => vec![
                events(),
                event(&answer(&json!(7), "of somebody else")),
                event(&request.answer("fine")),
                RawAction::Close,
            ],
        })
    })
    .await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let (session, client) = (gateway.session().await, gateway.client("bob"));
    for (how, expected) in [
        ("json", "another request"),
        ("error", "broken"),
        ("events", "fine"),
    ] {
        let arguments = format!("{{\"how\":\"{how}\"}}");
        for answer in [
            session.tool("t", &arguments).await,
            client.modern_tool("t", &arguments).await,
        ] {
            assert!(said(&answer).contains(expected), "{how}: {answer}");
        }
    }
}

#[tokio::test]
async fn progress_of_another_request_is_skipped() {
    let upstream = Raw::start(|request| {
        usual(request).unwrap_or_else(|| {
            let token = &request.body["params"]["_meta"]["progressToken"];
            let progress = |token: &Value, n: u32| {
                event(&json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progressToken": token, "progress": n } }))
            };
            vec![
                events(),
                progress(&json!("t"), 100),
                progress(&json!(1), 101),
                progress(token, 1),
                progress(&json!(token.to_string()), 2),
                event(&request.answer("fine")),
                RawAction::Close,
            ]
        })
    })
    .await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let session = gateway.session().await;
    let mut reply = session.begin_with_token("7", "\"t\"", "t", "{}").await;
    let mut seen = Vec::new();
    while let Some(event) = reply.event().await {
        let message = event.json();
        if message["method"] == "notifications/progress" {
            assert_eq!(message["params"]["progressToken"], "t", "{message}");
            seen.push(message["params"]["progress"].as_u64().unwrap());
        }
    }
    seen.retain(|n| *n > 0);
    assert_eq!(seen, [1, 2]);
}
