//! Clients that keep what they opened with a revoked token: sessions, calls in flight, partially sent requests.

use std::time::Duration;

use mcp_orchestrator_core::auth::Principal;
use mcp_orchestrator_core::id::{GatewayId, PrincipalId, SessionId};
use mcp_orchestrator_core::server::ServerSpec;
use mcp_orchestrator_tests::client::{Client, modern_body};
use mcp_orchestrator_tests::gateway::server_id;
use mcp_orchestrator_tests::scripted::program;
use mcp_orchestrator_tests::wait::{until, within};
use serde_json::{Value, json};

use crate::raw::Raw;
use crate::site::{Known, Site};

/// A server that starts when a file exists.
fn slow(folder: &std::path::Path) -> ServerSpec {
    let script = format!(
        "echo > {0}/started; while [ ! -e {0}/open ]; do sleep 0.02; done; exec {1} --era both",
        folder.display(),
        program("scripted-server").display()
    );
    let mut spec = ServerSpec::command(server_id("b"), "/bin/sh", ["-c".to_owned(), script]);
    spec.limits.stop_grace = Duration::from_millis(500);
    spec
}

/// Returns how often the server was called so far, using a separate caller.
async fn calls(client: &Client) -> Value {
    let stats = client.modern_patient("stats", "{}").await;
    stats["result"]["calls"].clone()
}

/// Returns `true` if the session exists, without using it.
fn is_open(site: &Known, user: &str, session: &str) -> bool {
    let principal = Principal::user(PrincipalId::new(user).unwrap(), "test");
    let gateway = GatewayId::default_gateway();
    let id = SessionId::new(session).unwrap();
    let orchestrator = &site.gateway.orchestrator;
    orchestrator
        .session_version(&principal, &gateway, &id)
        .is_ok()
}

async fn is_gone(client: &Client, session: &str) -> bool {
    let body = r#"{"jsonrpc":"2.0","id":3,"method":"ping"}"#;
    let headers = [("mcp-session-id", session)];
    client.send("POST", &headers, body.as_bytes()).await.status == 404
}

#[tokio::test]
async fn a_session_ends_with_its_token() {
    let site = Known::new().await;
    let (bob, info) = site.client("user/bob", None).await;
    let (other, _) = site.client("user/bob", None).await;
    let (ann, _) = site.client("user/ann", None).await;
    let (session, hers, second) = (
        bob.session().await,
        ann.session().await,
        other.session().await,
    );
    session
        .request("resources/subscribe", r#"{"uri":"mem://1"}"#)
        .await;
    site.tokens.revoke(&info.id).await.unwrap();
    until("the end of the session", || {
        !is_open(&site, "bob", &session.id)
    })
    .await;
    assert!(is_gone(&other, &session.id).await);
    assert!(!is_gone(&ann, &hers.id).await);
    assert!(!is_gone(&other, &second.id).await);
}

#[tokio::test]
async fn a_session_continues_if_its_client_has_switched_to_another_token() {
    let site = Known::new().await;
    let (bob, info) = site.client("user/bob", None).await;
    let (other, _) = site.client("user/bob", None).await;
    let (eve, hers) = site.client("user/eve", None).await;
    let (session, gone) = (bob.session().await, eve.session().await);
    assert!(!is_gone(&other, &session.id).await, "it is used by both");
    site.tokens.revoke(&info.id).await.unwrap();
    site.tokens.revoke(&hers.id).await.unwrap();
    // Both are checked together.
    until("the end of the other session", || {
        !is_open(&site, "eve", &gone.id)
    })
    .await;
    assert!(!is_gone(&other, &session.id).await);
}

#[tokio::test]
async fn a_call_is_not_sent_if_its_token_is_revoked_while_the_server_starts() {
    for modern in [true, false] {
        let site = Known::new().await;
        let folder = tempfile::tempdir().unwrap();
        let (bob, info) = site.client("user/bob", None).await;
        let (ann, _) = site.client("user/ann", None).await;
        let session = bob.session().await;
        site.gateway.apply(vec![slow(folder.path())]);
        let call = async {
            if modern {
                let body = r#"{"name":"echo","arguments":{}}"#;
                let mut answer = bob.modern_raw("1", "tools/call", body).await;
                answer.arrived().await;
            } else {
                let _ = session.begin("1", "echo", "{}").await;
            }
        };
        let revoke = async {
            until("the start", || folder.path().join("started").exists()).await;
            site.tokens.revoke(&info.id).await.unwrap();
            std::fs::write(folder.path().join("open"), "").unwrap();
        };
        within("the call and the revocation", async {
            tokio::join!(call, revoke);
        })
        .await;
        assert_eq!(calls(&ann).await, 1, "modern: {modern}");
    }
}

#[tokio::test]
async fn a_request_is_refused_if_its_token_is_revoked_while_the_body_arrives() {
    let site = Known::new().await;
    let (bob, info) = site.client("user/bob", None).await;
    let (ann, _) = site.client("user/ann", None).await;
    let session = bob.session().await;
    let token = bob.token().unwrap();
    let body =
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{}}}"#;
    let modern = modern_body("1", "tools/call", r#"{"name":"echo","arguments":{}}"#, "");
    let named = "mcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\nmcp-name: echo\r\n";
    let legacy = format!("mcp-session-id: {}\r\n", session.id);
    let mut half = Vec::new();
    for (headers, body) in [(&*legacy, body), (named, &modern)] {
        let head = format!(
            "POST /mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\naccept: application/json, text/event-stream\r\n\
             expect: 100-continue\r\ncontent-length: {}\r\n{headers}\r\n",
            body.len()
        );
        let mut raw = Raw::with(site.gateway.address, head.as_bytes()).await;
        // The gateway requests the body once the caller is authenticated.
        let asked = raw.head().await;
        assert!(asked.starts_with("HTTP/1.1 100"), "{asked}");
        half.push((raw, body.to_owned()));
    }
    site.tokens.revoke(&info.id).await.unwrap();
    for (raw, body) in &mut half {
        raw.send(body.as_bytes()).await;
        let answer = raw.head().await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    }
    assert_eq!(calls(&ann).await, 1);
}

#[tokio::test]
async fn a_call_that_waits_for_a_credential_is_not_sent_once_its_token_is_revoked() {
    let config = json!({
        "auth": { "local": false, "tokens": true },
        "servers": { "jira": {
            "command": [program("scripted-server"), "--era", "both"],
            "credentials": [{ "name": "token", "env": "TOKEN" }],
        } },
    });
    let site = Site::new(&config).await;
    let (token, id) = site.token("user/ann", false).await;
    let (second, _) = site.token("user/ann", false).await;
    let ann = site.gateway.client().bearer(&token);
    let session = ann.session_with(r#"{"elicitation":{"url":{}}}"#).await;
    let mut call = session.begin("7", "echo", "{}").await;
    let asked = call.event().await.unwrap().json();
    assert_eq!(asked["method"], "elicitation/create", "{asked}");
    site.control.revoke_token(&id).await.unwrap();
    within("the end of the stream", call.arrived()).await;
    until("the end of the session", || {
        site.log().contains("session ended")
    })
    .await;
    site.install("jira", "user/ann", &[("token", "t")]).await;
    let later = site.gateway.client().bearer(&second);
    assert_eq!(calls(&later).await, 1);
    assert!(is_gone(&later, &session.id).await);
}

#[tokio::test]
async fn sessions_end_where_tokens_are_not_accepted_any_more() {
    let config = |tokens: bool| {
        let issuers = json!([{ "issuer": "https://127.0.0.1:1", "audience": ["x"] }]);
        json!({
            "auth": { "local": false, "tokens": tokens, "issuers": issuers },
            "servers": { "jira": { "command": [program("scripted-server")] } },
        })
    };
    let site = Site::new(&config(true)).await;
    let (token, _) = site.token("user/ann", false).await;
    let ann = site.gateway.client().bearer(&token);
    let session = ann.session().await;
    site.reload(&config(false)).await;
    until("the end of the session", || {
        site.log().contains("session ended")
    })
    .await;
    site.reload(&config(true)).await;
    assert!(is_gone(&ann, &session.id).await);
}

#[tokio::test]
async fn file_that_is_restored_after_a_requested_reload_is_applied() {
    let config = |servers: &[&str]| {
        let one = json!({ "command": [program("scripted-server")] });
        let all = servers.iter().map(|name| ((*name).to_owned(), one.clone()));
        let all: serde_json::Map<_, _> = all.collect();
        json!({ "auth": { "tokens": true }, "servers": all })
    };
    let site = Site::new(&config(&["a", "b"])).await;
    let (token, _) = site.token("user/ann", false).await;
    let ann = site.gateway.client().bearer(&token);
    // The request comes before the watcher has seen the file unchanged for long enough.
    site.reload(&config(&["a"])).await;
    std::fs::write(&site.gateway.config, config(&["a", "b"]).to_string()).unwrap();
    within("the restored configuration", async {
        while ann.modern_tool("b__echo", r#"{"text":"x"}"#).await["result"].is_null() {}
    })
    .await;
}
