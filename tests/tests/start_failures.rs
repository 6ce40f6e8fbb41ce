//! The pages' report about a server that does not start.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use mcp_orchestrator_gateway::control::Client as Control;
use mcp_orchestrator_gateway::control::wire::credentials::TokenRequest;
use mcp_orchestrator_tests::browser::Browser;
use mcp_orchestrator_tests::program::Program;
use secrecy::ExposeSecret as _;
use serde_json::json;

#[tokio::test]
async fn failed_credential_test_shows_the_last_server_output() {
    let folder = tempfile::tempdir().unwrap();
    let script = "echo \"<i>no account</i> has $TOKEN\" >&2; exit 3";
    let config = json!({
        "auth": { "local": false, "tokens": true },
        "servers": { "jira": {
            "command": ["/bin/sh", "-c", script],
            "credentials": [{ "name": "token", "env": "TOKEN" }],
        } },
    });
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let args = ["--listen", "127.0.0.1:0"];
    let gateway = Program::run_in(folder.path(), &args, &[], &folder.path().join("errors")).await;
    let request = TokenRequest {
        subject: "user/ann".into(),
        admin: false,
        gateway: None,
        expires_in: None,
    };
    let control = Control::of(&folder.path().join("state"));
    let made = control.make_token(&request).await.unwrap();
    let mut browser = Browser::new(gateway.address);
    let asked = browser.open("/servers").await;
    let (proof, next) = (asked.hidden("form"), asked.hidden("next"));
    let token = made.token.0.expose_secret();
    let fields = [("form", &*proof), ("next", &next), ("token", token)];
    assert_eq!(browser.submit("/signin", &fields).await.status, 303);
    let form = "/servers/jira?owner=user%2Fann";
    let failed = browser.fill(form, &[("slot.token", "canary-7")]).await;
    assert_eq!(failed.status, 422, "{}", failed.html);
    assert!(
        failed.html.contains("&lt;i&gt;no account&lt;/i&gt; has"),
        "{}",
        failed.html
    );
    assert!(!failed.html.contains("canary-7"), "{}", failed.html);
}
