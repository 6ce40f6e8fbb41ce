//! Which requests a server may send to which client, and the capabilities that a child is shown.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its tasks end with its runtime"
)]

use std::time::Duration;

use mcp_orchestrator_core::server::{Isolation, ServerSpec};
use mcp_orchestrator_tests::client::Session;
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::scripted::{Script, Upstream, scripted};
use mcp_orchestrator_tests::wait::{is_alive, until, within};
use serde_json::Value;

const ALL: &str = r#"{"sampling":{},"elicitation":{},"roots":{}}"#;

fn with(isolation: Isolation) -> ServerSpec {
    let mut spec = scripted("x", &[]);
    spec.isolation = isolation;
    spec
}

fn ask(method: &str) -> String {
    format!(r#"{{"method":"{method}","value":{{"x":1,"big":123456789012345678901234567890}}}}"#)
}

/// Returns the capabilities that the child received.
async fn told(session: &Session) -> Vec<String> {
    let stats = session.tool("stats", "{}").await;
    let told = &stats["result"]["initialize"][0]["params"]["capabilities"];
    let mut names: Vec<_> = told.as_object().unwrap().keys().cloned().collect();
    names.sort();
    names
}

/// Calls a tool that sends a request, answers it, and returns the request and the result.
async fn asked(session: &Session, method: &str) -> (Value, Value) {
    let mut call = session.begin("77", "ask", &ask(method)).await;
    assert!(call.is_stream(), "{method}");
    let question = call.event().await.unwrap().json();
    let id = &question["id"];
    session
        .notify(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"said":"yes","n":1e400}}}}"#
        ))
        .await;
    let bytes = call.message().await;
    let text = String::from_utf8_lossy(&bytes).replace("1e400", "1");
    (question, serde_json::from_str(&text).unwrap())
}

async fn refused(session: &Session, method: &str) -> Value {
    let answer = session.tool("ask", &ask(method)).await;
    assert_eq!(
        answer["result"]["answer"]["error"]["code"], -32601,
        "{answer}"
    );
    answer["result"]["answer"]["error"]["message"].clone()
}

#[tokio::test]
async fn a_child_shared_by_several_principals_cannot_send_requests() {
    let gateway = Gateway::new().server(with(Isolation::Shared)).run().await;
    let session = gateway.client("ann").session_with(ALL).await;
    assert_eq!(told(&session).await, Vec::<String>::new());
    for method in ["sampling/createMessage", "elicitation/create", "roots/list"] {
        let why = refused(&session, method).await;
        assert!(why.as_str().unwrap().contains("isolation"), "{why}");
    }
    let other = gateway.client("bob").session().await;
    assert_eq!(told(&other).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_child_of_one_principal_sends_requests_to_the_session_with_the_call_in_flight() {
    for single in [false, true] {
        let builder = if single {
            Gateway::new()
                .server(with(Isolation::Shared))
                .single_principal()
        } else {
            Gateway::new().server(with(Isolation::Principal))
        };
        let gateway = builder.run().await;
        let session = gateway.client("ann").session_with(ALL).await;
        assert_eq!(told(&session).await, ["elicitation", "sampling"]);
        for method in ["sampling/createMessage", "elicitation/create"] {
            let (question, answer) = asked(&session, method).await;
            assert_eq!(question["method"], method);
            assert_eq!(question["params"]["x"], 1);
            assert_eq!(
                answer["result"]["answer"]["result"]["said"], "yes",
                "{answer}"
            );
            assert_eq!(
                answer["result"]["answer"]["id"],
                if method.starts_with('s') {
                    "ask-0"
                } else {
                    "ask-1"
                }
            );
        }
    }
}

#[tokio::test]
async fn two_sessions_of_one_principal_in_flight_are_both_not_asked() {
    let gateway = Gateway::new()
        .server(with(Isolation::Principal))
        .run()
        .await;
    let one = gateway.client("ann").session_with(ALL).await;
    let two = gateway.client("ann").session_with(ALL).await;
    let mut waits = one
        .begin_with_token("1", "1", "gate", r#"{"name":"g"}"#)
        .await;
    waits.event().await.unwrap();
    let why = refused(&two, "sampling/createMessage").await;
    assert!(why.as_str().unwrap().contains("isolation"), "{why}");
    two.tool("open", r#"{"name":"g"}"#).await;
    assert_eq!(waits.json().await["result"]["content"][0]["text"], "g");
    let (_, answer) = asked(&two, "sampling/createMessage").await;
    assert_eq!(answer["result"]["answer"]["result"]["said"], "yes");
}

#[tokio::test]
async fn principals_have_children_of_their_own() {
    let gateway = Gateway::new()
        .server(with(Isolation::Principal))
        .run()
        .await;
    let ann = gateway.client("ann").session().await;
    let ann_too = gateway.client("ann").session().await;
    let bob = gateway.client("bob").session().await;
    let pid = async |session: &Session| session.tool("stats", "{}").await["result"]["pid"].clone();
    assert_eq!(pid(&ann).await, pid(&ann_too).await);
    assert_ne!(pid(&ann).await, pid(&bob).await);
    let modern = gateway.client("ann").modern_tool("stats", "{}").await;
    assert_eq!(modern["result"]["pid"], pid(&ann).await);
}

#[tokio::test]
async fn child_of_a_session_can_send_it_requests_at_any_time() {
    let gateway = Gateway::new().server(with(Isolation::Session)).run().await;
    let session = gateway.client("ann").session_with(ALL).await;
    assert_eq!(told(&session).await, ["elicitation", "roots", "sampling"]);
    for method in ["sampling/createMessage", "elicitation/create", "roots/list"] {
        let (_, answer) = asked(&session, method).await;
        assert_eq!(
            answer["result"]["answer"]["result"]["said"], "yes",
            "{answer}"
        );
    }
    let mut listening = session.listen(None).await;
    let later = r#"{"method":"roots/list","later":true,"name":"g"}"#;
    session.tool("ask", later).await;
    session.tool("open", r#"{"name":"g"}"#).await;
    let mut question = listening.event().await.unwrap().json();
    while question["method"] != "roots/list" {
        question = listening.event().await.unwrap().json();
    }
    let id = &question["id"];
    session
        .notify(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"roots":[]}}}}"#
        ))
        .await;
    within("the answer at the child", async {
        while !session.tool("stats", "{}").await["result"]["told"]
            .to_string()
            .contains("roots")
        {}
    })
    .await;
    let other = gateway.client("ann").session().await;
    let pid = async |session: &Session| session.tool("stats", "{}").await["result"]["pid"].clone();
    assert_ne!(pid(&session).await, pid(&other).await);
}

#[tokio::test]
async fn request_for_an_undeclared_capability_is_rejected() {
    let gateway = Gateway::new().server(with(Isolation::Session)).run().await;
    let session = gateway
        .client("ann")
        .session_with(r#"{"sampling":{}}"#)
        .await;
    refused(&session, "elicitation/create").await;
    refused(&session, "roots/list").await;
    let (_, answer) = asked(&session, "sampling/createMessage").await;
    assert_eq!(answer["result"]["answer"]["result"]["said"], "yes");
    let modern = gateway
        .client("ann")
        .modern_tool("ask", &ask("sampling/createMessage"))
        .await;
    let text = modern.to_string();
    assert!(
        text.contains("-32601") || text.contains("dialect"),
        "{modern}"
    );
}

#[tokio::test]
async fn server_request_for_an_undeclared_capability_gets_method_not_found() {
    let upstream = Upstream::start(Script::default()).await;
    let own = with(Isolation::Session);
    let gateway = Gateway::new()
        .server(own)
        .server(upstream.spec("http"))
        .run()
        .await;
    let session = gateway.client("ann").session_with("{}").await;
    for server in ["x", "http"] {
        for method in ["sampling/createMessage", "elicitation/create", "roots/list"] {
            let answer = session.tool(&format!("{server}__ask"), &ask(method)).await;
            let error = &answer["result"]["answer"]["error"];
            assert_eq!(error["code"], -32601, "{server} {method}: {answer}");
            assert_eq!(error["message"], "Method not found", "{server} {method}");
        }
    }
}

#[tokio::test]
async fn client_error_response_reaches_the_child_unchanged() {
    let gateway = Gateway::new().server(with(Isolation::Session)).run().await;
    let session = gateway.client("ann").session_with(ALL).await;
    let mut call = session.begin("1", "ask", &ask("elicitation/create")).await;
    let question = call.event().await.unwrap().json();
    let id = &question["id"];
    session
        .notify(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-1,"message":"no","data":[1]}}}}"#
        ))
        .await;
    let answer = call.json().await;
    assert_eq!(answer["result"]["answer"]["error"]["code"], -1, "{answer}");
    assert_eq!(answer["result"]["answer"]["error"]["data"][0], 1);
}

#[tokio::test]
async fn a_shared_childs_log_reaches_no_session() {
    let gateway = Gateway::new().server(with(Isolation::Shared)).run().await;
    let session = gateway.client("ann").session().await;
    session.tools().await;
    let mut listening = session.listen(None).await;
    session.tool("log", r#"{"text":"of somebody"}"#).await;
    session.tool("change", r#"{"n":9}"#).await;
    loop {
        let event = listening.event().await.unwrap().json();
        assert_ne!(event["method"], "notifications/message", "{event}");
        if event["method"] == "notifications/tools/list_changed" {
            break;
        }
    }
}

#[tokio::test]
async fn a_call_during_the_stop_of_its_instance_starts_one_new_instance() {
    let folder = tempfile::tempdir().unwrap();
    let starts = folder.path().join("starts");
    let args = ["--stubborn", "--starts", starts.to_str().unwrap()];
    let mut own = scripted("own", &args);
    own.isolation = Isolation::Session;
    own.limits.idle_timeout = Some(Duration::from_millis(1));
    let gateway = Gateway::new().server(own).run().await;
    let session = gateway.session().await;
    let first = session.tool("stats", "{}").await["result"]["pid"].clone();
    let first = u32::try_from(first.as_u64().unwrap()).unwrap();
    // It ignores the end of its input and SIGTERM: no longer in use, but still running.
    within("its way to rest", async {
        while gateway.serves("own").await {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(is_alive(first));
    let answer = session.tool("echo", r#"{"n":1}"#).await;
    assert_eq!(answer["result"]["echo"]["n"], 1, "{answer}");
    let pids = || {
        let text = std::fs::read_to_string(&starts).unwrap();
        text.lines()
            .map(|pid| pid.parse().unwrap())
            .collect::<Vec<u32>>()
    };
    assert_eq!(pids().len(), 2, "one key, one instance");
    assert_eq!(session.delete().await, 200);
    until("every child's end", || {
        !pids().iter().any(|pid| is_alive(*pid))
    })
    .await;
}
