//! Sessions that a server has lost, however it reports that.

use std::collections::HashSet;
use std::sync::Arc;

use mcp_orchestrator_tests::gateway::Gateway;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::raw::{Raw, RawAction, Request, error, json_body, json_status, said, say, usual_in};

type Lost = fn(&Request) -> Vec<RawAction>;

/// A server that can forget its sessions, and its refusal of unknown ones.
struct ForgetfulServer {
    upstream: Raw,
    known: Arc<Mutex<HashSet<String>>>,
}

impl ForgetfulServer {
    async fn start(lost: Lost) -> Self {
        let known: Arc<Mutex<HashSet<String>>> = Arc::default();
        let (table, next) = (Arc::clone(&known), Mutex::new(0));
        let upstream = Raw::start(move |request| {
            let mut known = table.lock();
            if request.method() == "initialize" {
                let mut next = next.lock();
                *next += 1;
                let name = format!("s{next}");
                known.insert(name.clone());
                return usual_in(request, &format!("mcp-session-id: {name}")).unwrap();
            }
            let session = request.header("mcp-session-id").unwrap_or_default();
            if request.verb == "POST" && !known.contains(session) {
                return lost(request);
            }
            usual_in(request, "").unwrap_or_else(|| match request.tool() {
                "refuse" => json_status(400, &error(&json!(null), -32602, "refused")),
                "mention" => json_body(&error(request.id(), -32000, "browser session not found")),
                _ => json_body(&request.answer("fine")),
            })
        })
        .await;
        Self { upstream, known }
    }

    fn forget(&self) {
        self.known.lock().clear();
    }

    fn opened(&self) -> usize {
        self.upstream
            .count(|request| request.method() == "initialize")
    }
}

const NAMELESS: Value = Value::Null;

/// The ways in which servers refuse an unknown session.
fn manners() -> [(&'static str, Lost); 15] {
    [
        ("404", |_| say(404, "", "")),
        ("410", |_| say(410, "", "gone")),
        ("400 null", |_| {
            json_status(
                400,
                &error(
                    &NAMELESS,
                    -32000,
                    "Bad Request: No valid session ID provided",
                ),
            )
        }),
        ("400 synthetic", |_| {
            json_status(
                400,
                &error(&json!("server-error"), -32600, "Session terminated"),
            )
        }),
        ("400 own id", |r| {
            json_status(400, &error(r.id(), -32001, "Session not found"))
        }),
        ("400 text", |_| {
            say(400, "content-type: text/plain", "invalid session ID")
        }),
        ("400 bare", |_| say(400, "", "")),
        ("400 other words", |_| {
            json_status(400, &error(&NAMELESS, -32000, "who are you?"))
        }),
        ("400 not initialized", |_| {
            json_status(
                400,
                &error(&NAMELESS, -32000, "Bad Request: Server not initialized"),
            )
        }),
        ("401", |_| {
            json_status(401, &error(&NAMELESS, -32000, "no valid session"))
        }),
        ("401 bare", |_| say(401, "", "")),
        ("409", |_| say(409, "", "session expired")),
        ("500", |_| say(500, "", "{\"error\":\"unknown session\"}")),
        ("200 -32001", |r| {
            json_body(&error(r.id(), -32001, "Session not found"))
        }),
        ("200 null", |_| {
            json_body(&error(&NAMELESS, -32600, "Invalid session"))
        }),
    ]
}

#[tokio::test]
async fn lost_session_is_reopened_for_every_known_wording() {
    for (name, lost) in manners() {
        let server = ForgetfulServer::start(lost).await;
        let gateway = Gateway::new().server(server.upstream.spec("x")).run().await;
        let (session, client) = (gateway.session().await, gateway.client("bob"));
        session.tool("t", "{}").await;
        client.modern_tool("t", "{}").await;
        for _ in 0..2 {
            server.forget();
            let before = server.opened();
            for answer in [
                session.tool("t", "{}").await,
                client.modern_tool("t", "{}").await,
            ] {
                assert_eq!(said(&answer), "fine", "{name}: {answer}");
            }
            assert!(
                server.opened() <= before + 4,
                "{name}: {}",
                server.opened() - before
            );
        }
    }
}

#[tokio::test]
async fn refused_call_does_not_end_the_session() {
    let server = ForgetfulServer::start(|_| say(404, "", "")).await;
    let gateway = Gateway::new().server(server.upstream.spec("x")).run().await;
    let session = gateway.session().await;
    session.tool("t", "{}").await;
    let name = |tool: &'static str| {
        let calls = server.upstream.seen();
        let call = calls.iter().rev().find(|r| r.is_call() && r.tool() == tool);
        call.and_then(|call| call.header("mcp-session-id").map(str::to_owned))
            .unwrap()
    };
    let first = name("t");
    for tool in ["refuse", "mention"] {
        let before = server.opened();
        for _ in 0..20 {
            let answer = session.tool(tool, "{}").await;
            assert!(!answer["error"].is_null(), "{answer}");
        }
        assert!(
            server.opened() <= before + 1,
            "{tool}: tried again and again"
        );
    }
    session.tool("t", "{}").await;
    assert_eq!(name("t"), first, "the session went on");
}

#[tokio::test]
async fn request_for_credentials_is_not_a_lost_session() {
    let server = ForgetfulServer::start(|_| say(404, "", "")).await;
    let known = Arc::clone(&server.known);
    let upstream = Raw::start(move |request| {
        if request.method() == "initialize" {
            known.lock().insert("s".into());
        }
        usual_in(request, "mcp-session-id: s")
            .unwrap_or_else(|| say(401, "www-authenticate: Bearer error=\"invalid_token\"", ""))
    })
    .await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let session = gateway.session().await;
    session.tools().await;
    let before = upstream.count(|request| request.method() == "initialize");
    let answer = session.tool("t", "{}").await;
    assert!(said(&answer).contains("credential"), "{answer}");
    let after = upstream.count(|request| request.method() == "initialize");
    assert!(
        after <= before + 1,
        "one for the client's own session: {after} {before}"
    );
}

#[tokio::test]
async fn oversized_session_id_is_rejected_and_an_empty_one_is_ignored() {
    let upstream = Raw::start(|request| {
        let id = format!("mcp-session-id: {}", "s".repeat(10_000));
        usual_in(request, &id).unwrap_or_else(|| json_body(&request.answer("fine")))
    })
    .await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let answer = gateway.session().await.tool("t", "{}").await;
    assert!(
        answer.to_string().contains("session id is longer"),
        "{answer}"
    );
    let upstream = Raw::start(|request| {
        usual_in(request, "mcp-session-id: ").unwrap_or_else(|| json_body(&request.answer("fine")))
    })
    .await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    assert_eq!(said(&gateway.session().await.tool("t", "{}").await), "fine");
}
