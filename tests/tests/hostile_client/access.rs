//! Open streams end when their callers lose access, and streams of other callers continue.

use std::time::{Duration, SystemTime};

use mcp_orchestrator_tests::client::Response;
use mcp_orchestrator_tests::scripted::{program, scripted};
use mcp_orchestrator_tests::wait::within;
use serde_json::{Value, json};

use crate::site::{Known, Site};

const TOOLS: &str = r#"{"notifications":{"toolsListChanged":true}}"#;

/// Reads a stream to its end.
async fn ends(what: &str, stream: &mut Response) {
    within(what, stream.arrived()).await;
}

#[tokio::test]
async fn revoked_token_ends_its_streams() {
    let site = Known::new().await;
    let (bob, info) = site.client("user/bob", None).await;
    let (ann, _) = site.client("user/ann", None).await;
    let (session, hers) = (bob.session().await, ann.session().await);
    let mut general = session.listen(None).await;
    let mut listen = bob.modern_raw("1", "subscriptions/listen", TOOLS).await;
    let call = r#"{"name":"gate","arguments":{"name":"never"}}"#;
    let mut call = bob.modern_raw("7", "tools/call", call).await;
    let mut others = hers.listen(None).await;
    for stream in [&general, &listen, &call, &others] {
        assert!(stream.is_stream(), "{}", stream.status);
    }
    site.tokens.revoke(&info.id).await.unwrap();
    ends("the general stream's end", &mut general).await;
    ends("the listen stream's end", &mut listen).await;
    ends("the call's end", &mut call).await;
    assert_eq!(session.listen(None).await.status, 401);
    // Ann's stream continues and delivers the next event.
    site.gateway.apply(vec![scripted("b", &[])]);
    let event = others.event().await.unwrap().json();
    assert_eq!(
        event["method"], "notifications/tools/list_changed",
        "{event}"
    );
}

#[tokio::test]
async fn stream_ends_when_its_token_expires() {
    let site = Known::new().await;
    let soon = SystemTime::now() + Duration::from_secs(2);
    let (bob, _) = site.client("user/bob", Some(soon)).await;
    let session = bob.session().await;
    let mut general = session.listen(None).await;
    let mut listen = bob.modern_raw("1", "subscriptions/listen", TOOLS).await;
    assert!(general.is_stream() && listen.is_stream());
    ends("the general stream's end", &mut general).await;
    ends("the listen stream's end", &mut listen).await;
    assert!(SystemTime::now() >= soon);
}

fn config(members: &Value, admins: &Value) -> Value {
    json!({
        "auth": { "local": false, "tokens": true },
        "admins": admins,
        "teams": { "ops": { "members": members } },
        "servers": { "jira": { "command": [program("scripted-server")] } },
        "gateways": {
            "default": {},
            "users": { "members": { "users": members } },
            "team": { "members": { "teams": ["ops"] } },
        }
    })
}

#[tokio::test]
async fn reload_that_removes_a_member_ends_their_streams() {
    let site = Site::new(&config(&json!(["ann", "bob"]), &json!([]))).await;
    let (bob, _) = site.token("user/bob", false).await;
    let mut streams = Vec::new();
    for path in ["/mcp", "/mcp/users", "/mcp/team"] {
        let client = site.gateway.client().bearer(&bob).at(path);
        streams.push(client.session().await.listen(None).await);
    }
    site.reload(&config(&json!(["ann"]), &json!([]))).await;
    ends("the end in a gateway of users", &mut streams[1]).await;
    ends("the end in a gateway of a team", &mut streams[2]).await;
    // The default gateway is still open to them until tokens are disabled.
    let mut closed = config(&json!(["ann"]), &json!([]));
    closed["auth"] = json!({ "tokens": false, "issuers": [{ "issuer": "https://127.0.0.1:1", "audience": ["x"] }] });
    site.reload(&closed).await;
    ends("the end where tokens are not accepted", &mut streams[0]).await;
}

#[tokio::test]
async fn followed_log_ends_when_its_reader_loses_access() {
    let site = Site::new(&config(&json!(["ann"]), &json!(["root"]))).await;
    let (root, _) = site.token("user/root", false).await;
    let (admin, id) = site.token("user/eve", true).await;
    let (user, _) = site.token("user/ann", false).await;
    let ann = site.gateway.client().bearer(&user).session().await;
    ann.tool("echo", "{}").await;
    let follow = |token: &str| {
        let client = site
            .gateway
            .client()
            .bearer(token)
            .at("/control/v1/servers/jira/logs");
        async move { client.send("POST", &[], br#"{"follow":true}"#).await }
    };
    let (mut configured, mut by_token) = (follow(&root).await, follow(&admin).await);
    assert_eq!((configured.status, by_token.status), (200, 200));
    site.control.revoke_token(&id).await.unwrap();
    ends("the log of a revoked token", &mut by_token).await;
    site.reload(&config(&json!(["ann"]), &json!([]))).await;
    ends("the log of a former administrator", &mut configured).await;
}
