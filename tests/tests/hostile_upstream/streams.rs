//! Streams that contain junk, break off, and are reopened.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mcp_orchestrator_tests::client::Session;
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::wait::{until, within};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::raw::{Raw, RawAction, Request, event, events, json_body, said, say, usual_in};

const SESSION: &str = "mcp-session-id: s";

fn usual(request: &Request) -> Option<Vec<RawAction>> {
    usual_in(request, SESSION)
}

fn text(text: &str) -> RawAction {
    RawAction::Say(text.as_bytes().to_vec())
}

async fn ask(call: impl Fn(&Request) -> Vec<RawAction> + Send + Sync + 'static) -> [Value; 2] {
    let upstream = Raw::start(move |request| usual(request).unwrap_or_else(|| call(request))).await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let legacy = gateway.session().await.tool("t", "{}").await;
    [legacy, gateway.client("bob").modern_tool("t", "{}").await]
}

#[tokio::test]
async fn junk_events_are_skipped() {
    for junk in [
        "data: not json\n\n",
        "data: {}\n\n",
        "data: {\"jsonrpc\":\"2.0\"}\n\n",
        "data: [1,2]\n\n",
        "data:\n\n",
        "event: ping\ndata: {}\n\n",
        "event: message\ndata: \u{fffd}\n\n",
        ": comment\n\n\n\n",
        "nonsense\n\n",
        "id: 7\nretry: soon\n\n",
        "retry: 99999999999999999999999\ndata: [DONE]\n\n",
        "\r\n\r\n",
    ] {
        let answers = ask(move |request| {
            vec![
                events(),
                text(junk),
                event(&request.answer("fine")),
                RawAction::Close,
            ]
        });
        for answer in answers.await {
            assert_eq!(said(&answer), "fine", "{junk:?} {answer}");
        }
    }
}

#[tokio::test]
async fn stream_that_ends_without_a_response_fails_its_call() {
    for acts in [
        vec![events(), RawAction::Close],
        vec![events(), text("data: not json\n\n"), RawAction::Close],
        vec![
            events(),
            text("data: {\"jsonrpc\":\"2.0\",\"id\":"),
            RawAction::Close,
        ],
    ] {
        for answer in within("the end", ask(move |_| acts.clone())).await {
            assert!(
                said(&answer).contains("ended before the response"),
                "{answer}"
            );
        }
    }
}

/// A server that answers calls on a stream that breaks, and lets it be resumed after `refusals` refused attempts.
async fn resumed(status: u16, refusals: usize) -> (Value, usize) {
    let left = AtomicUsize::new(refusals);
    let id = parking_lot::Mutex::new(Value::Null);
    let upstream = Raw::start(move |request| {
        if request.verb == "GET" && request.header("last-event-id") == Some("e1") {
            let refuse = left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| {
                left.checked_sub(1)
            });
            if refuse.is_ok() {
                return if status == 0 {
                    vec![RawAction::Close]
                } else {
                    say(status, "", "")
                };
            }
            let own = id.lock().clone();
            let other = crate::raw::answer(&json!("other"), "of another stream");
            return vec![
                events(),
                event(&other),
                event(&crate::raw::answer(&own, "fine")),
                RawAction::Close,
            ];
        }
        usual(request).unwrap_or_else(|| {
            *id.lock() = request.id().clone();
            vec![
                events(),
                text("id: e1\nretry: 0\ndata:\n\n"),
                RawAction::Close,
            ]
        })
    })
    .await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let session = gateway.session().await;
    let mut reply = session.begin("1", "t", "{}").await;
    reply.arrived().await;
    let answer = reply.json().await;
    (
        answer,
        upstream.count(|r| r.header("last-event-id").is_some()),
    )
}

#[tokio::test]
async fn stream_is_resumed_after_refused_attempts() {
    for (status, refusals) in [(0, 0), (0, 2), (503, 2), (502, 1), (429, 1)] {
        let (answer, attempts) = resumed(status, refusals).await;
        assert_eq!(said(&answer), "fine", "{status} {answer}");
        assert!(attempts <= refusals + 1, "{status}: {attempts}");
    }
    for status in [404, 405, 400] {
        let (answer, attempts) = resumed(status, 1).await;
        assert!(
            said(&answer).contains("cannot be resumed"),
            "{status} {answer}"
        );
        assert_eq!(attempts, 1);
    }
}

#[tokio::test]
async fn stream_that_makes_no_progress_is_abandoned() {
    let upstream = Raw::start(|request| {
        if request.verb == "GET" && request.header("last-event-id").is_some() {
            return vec![events(), RawAction::Close];
        }
        usual(request).unwrap_or_else(|| {
            vec![
                events(),
                text("id: e1\nretry: 0\ndata:\n\n"),
                RawAction::Close,
            ]
        })
    })
    .await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let session = gateway.session().await;
    let mut reply = session.begin("1", "t", "{}").await;
    reply.arrived().await;
    let answer = reply.json().await;
    assert!(said(&answer).contains("again and again"), "{answer}");
    let resumes = upstream.count(|r| r.header("last-event-id") == Some("e1"));
    assert!(resumes <= 5, "{resumes}");
}

#[tokio::test]
async fn general_stream_is_reopened_after_a_refusal() {
    for status in [400, 408, 429, 500, 502, 503] {
        let (opened, cut) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let tools = Arc::new(AtomicUsize::new(1));
        let (count, cutting, listed) = (Arc::clone(&opened), Arc::clone(&cut), Arc::clone(&tools));
        let upstream = Raw::start(move |request| {
            if request.verb == "GET" {
                return match count.fetch_add(1, Ordering::AcqRel) {
                    0 => vec![events(), text(": hello\n\n"), RawAction::Until(Arc::clone(&cutting)), RawAction::Close],
                    1 => say(status, "", "not now"),
                    _ => {
                        listed.store(2, Ordering::Release);
                        let changed = json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" });
                        vec![events(), event(&changed), RawAction::Hang]
                    }
                };
            }
            if request.method() == "tools/list" {
                let tools: Vec<Value> = (0..listed.load(Ordering::Acquire))
                    .map(|n| json!({ "name": format!("t{n}"), "inputSchema": { "type": "object" } }))
                    .collect();
                return json_body(&json!({ "jsonrpc": "2.0", "id": request.id(), "result": { "tools": tools } }));
            }
            usual(request).unwrap_or_else(|| json_body(&request.answer("fine")))
        })
        .await;
        let gateway = Gateway::new().server(upstream.spec("x")).run().await;
        let session = gateway.session().await;
        assert_eq!(session.tools().await, ["t0"]);
        until("the stream", || opened.load(Ordering::Acquire) >= 1).await;
        cut.notify_one();
        within("the change", async {
            while session.tools().await.len() < 2 {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn unsupported_general_stream_is_not_requested_again() {
    for status in [404, 405] {
        let upstream = Raw::start(move |request| {
            if request.verb == "GET" {
                return say(status, "", "");
            }
            usual(request).unwrap_or_else(|| json_body(&request.answer("fine")))
        })
        .await;
        let gateway = Gateway::new().server(upstream.spec("x")).run().await;
        let session = gateway.session().await;
        session.tools().await;
        until("the question", || upstream.count(|r| r.verb == "GET") == 1).await;
        for _ in 0..3 {
            session.tool("t", "{}").await;
        }
        assert_eq!(upstream.count(|r| r.verb == "GET"), 1, "{status}");
    }
}

#[tokio::test]
async fn excess_server_requests_are_rejected() {
    let upstream = Raw::start(|request| {
        usual(request).unwrap_or_else(|| {
            let question = |n: u32| {
                event(&json!({ "jsonrpc": "2.0", "id": format!("q{n}"), "method": "roots/list" }))
            };
            let mut acts = vec![events()];
            acts.extend((0..500).map(question));
            acts.push(RawAction::Hang);
            acts
        })
    })
    .await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let session = gateway.client("ann").session_with(r#"{"roots":{}}"#).await;
    let _call = session.begin("1", "t", "{}").await;
    until("the refusals", || {
        upstream.count(|r| {
            r.body["error"]["message"]
                .as_str()
                .is_some_and(|m| m.contains("too many"))
        }) >= 400
    })
    .await;
}

#[tokio::test]
async fn ids_and_tokens_of_a_server_are_not_mistaken_for_those_of_a_client() {
    let cancelled = |id: &Value| {
        let params = json!({ "requestId": id, "reason": "x" });
        event(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params }))
    };
    let progress = |token: &Value| {
        let params = json!({ "progressToken": token, "progress": 7 });
        event(&json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params }))
    };
    let last = || {
        let params = json!({ "level": "info", "data": "last" });
        event(&json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": params }))
    };
    let foreign = [json!(1), json!("1"), json!(2), json!("t")];
    let upstream = Raw::start(move |request| {
        let mut acts = vec![events()];
        if request.verb == "GET" {
            acts.extend(foreign.iter().flat_map(|id| [cancelled(id), progress(id)]));
            acts.extend([last(), RawAction::Hang]);
            return acts;
        }
        usual(request).unwrap_or_else(|| {
            acts.extend(foreign.iter().map(cancelled));
            acts.extend([last(), event(&request.answer("fine")), RawAction::Close]);
            acts
        })
    })
    .await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let session = gateway.session().await;
    let mut stream = session.listen(None).await;
    let mut call = session.begin_with_token("1", "\"t\"", "t", "{}").await;
    for reply in [&mut call, &mut stream] {
        within("the last message", async {
            while let Some(event) = reply.event().await {
                let message = event.json();
                let method = message["method"].as_str().unwrap_or_default();
                assert_ne!(method, "notifications/cancelled", "{message}");
                // The gateway reports the start of an instance as progress, too.
                assert_ne!(message["params"]["progress"], 7, "{message}");
                if message["params"]["data"] == "last" {
                    break;
                }
            }
        })
        .await;
    }
    let answer = call.json().await;
    assert_eq!(said(&answer), "fine", "{answer}");
}

fn complete(id: &str) -> Value {
    let params = json!({ "elicitationId": id });
    json!({ "jsonrpc": "2.0", "method": "notifications/elicitation/complete", "params": params })
}

fn last_log() -> Value {
    let params = json!({ "level": "info", "data": "last" });
    json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": params })
}

/// A server that reports elicitations and tasks of others within each call. If `asks`, it demands an elicitation of a
/// call that wants that.
fn reporting(asks: bool) -> impl Fn(&Request) -> Vec<RawAction> + Send + Sync + 'static {
    let status = |method: &str| {
        let params = json!({ "taskId": "of-another", "status": "completed" });
        json!({ "jsonrpc": "2.0", "method": method, "params": params })
    };
    move |request: &Request| {
        if let Some(usual) = usual(request) {
            return usual;
        }
        if asks && request.argument("ask") == true {
            let elicitation = json!({ "mode": "url", "elicitationId": "e",
                "url": "https://example.com/", "message": "?" });
            let error = json!({ "code": -32042, "message": "sign in",
                "data": { "elicitations": [elicitation] } });
            let answer = json!({ "jsonrpc": "2.0", "id": request.id(), "error": error });
            return json_body(&answer);
        }
        vec![
            events(),
            event(&complete("e")),
            event(&complete("f")),
            event(&status("notifications/tasks/status")),
            event(&status("notifications/tasks")),
            event(&last_log()),
            event(&request.answer("fine")),
            RawAction::Close,
        ]
    }
}

/// Returns the notifications of a call, without the gateway's own.
async fn heard(session: &Session, tool: &str) -> Vec<Value> {
    let mut call = session.begin("1", tool, "{}").await;
    let mut heard = Vec::new();
    while let Some(event) = call.event().await {
        let message = event.json();
        let method = message["method"].as_str().unwrap_or_default().to_owned();
        if method.starts_with("notifications/") && method != "notifications/progress" {
            heard.push(message);
        }
    }
    heard
}

#[tokio::test]
async fn client_hears_only_of_elicitations_that_the_same_server_asked_it_for() {
    let asker = Raw::start(reporting(true)).await;
    let other = Raw::start(reporting(false)).await;
    let gateway = Gateway::new()
        .server(asker.spec("asker"))
        .server(other.spec("other"))
        .run()
        .await;
    let session = gateway.session().await;
    assert_eq!(
        heard(&session, "asker__t").await,
        [last_log()],
        "nothing was asked yet"
    );
    let demand = session.tool("asker__t", r#"{"ask":true}"#).await;
    assert_eq!(demand["error"]["code"], -32042, "{demand}");
    assert_eq!(heard(&session, "other__t").await, [last_log()]);
    assert_eq!(
        heard(&session, "asker__t").await,
        [complete("e"), last_log()]
    );
    let of_another = gateway.session().await;
    assert_eq!(heard(&of_another, "asker__t").await, [last_log()]);
}

#[tokio::test]
async fn ping_of_a_server_is_answered_whatever_its_client_can_be_asked() {
    let ping = |id: &str| event(&json!({ "jsonrpc": "2.0", "id": id, "method": "ping" }));
    let upstream = Raw::start(move |request| {
        if request.verb == "GET" {
            return vec![events(), ping("general"), RawAction::Hang];
        }
        usual(request).unwrap_or_else(|| {
            let id = request.argument("id").as_str().unwrap_or_default();
            let answer = event(&request.answer("fine"));
            vec![events(), ping(id), answer, RawAction::Close]
        })
    })
    .await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let session = gateway.session().await;
    let legacy = session.tool("t", r#"{"id":"of a legacy client"}"#).await;
    assert_eq!(said(&legacy), "fine");
    let modern = gateway.client("ann");
    let modern = modern
        .modern_tool("t", r#"{"id":"of a modern client"}"#)
        .await;
    assert_eq!(said(&modern), "fine");
    for id in ["of a legacy client", "of a modern client", "general"] {
        let is_pong =
            |request: &Request| *request.id() == id && request.body["result"] == json!({});
        until("the answer", || upstream.count(is_pong) > 0).await;
    }
}
