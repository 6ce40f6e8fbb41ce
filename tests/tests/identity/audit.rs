//! The audit log records who did what with which owner's credential, and contains no secret.

use mcp_orchestrator_tests::wait::{signal, within};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::site::{Site, config, identity, sha};

/// Returns the events without their times and durations.
fn untimed_events(text: &str) -> Vec<Value> {
    let events = text.lines().map(|line| {
        let mut event: Value = serde_json::from_str(line).unwrap();
        let event = event.as_object_mut().unwrap();
        assert!(event.remove("at").unwrap().as_str().unwrap().ends_with('Z'));
        assert!(event.remove("micros").unwrap().is_u64());
        if let Some(instance) = event.remove("instance") {
            assert!(instance.as_str().unwrap().contains("jira"), "{instance}");
            event.insert("ran".to_owned(), true.into());
        }
        Value::Object(event.clone())
    });
    events.collect()
}

#[tokio::test]
async fn each_call_and_change_is_one_audit_event() {
    let mut config = config();
    config["audit"] = json!({ "file": "audit.jsonl", "arguments": true });
    let mut site = Site::new(&config).await;
    let ann = site.token("user/ann").await;
    assert_eq!(identity(&ann, "digest").await, "\"auth_required\"");
    site.put("user/ann", "canary-audited", false).await;
    assert_eq!(identity(&ann, "digest").await, sha("canary-audited"));
    identity(&ann, "no_such_tool").await;
    let other = ann.clone().at("/mcp/ops");
    other.modern_raw("1", "tools/call", r#"{"name":"x"}"#).await;
    site.remove("user/ann").await;
    signal(site.gateway.pid(), Signal::TERM);
    within("its end", site.gateway.child.wait()).await.unwrap();
    let text = std::fs::read_to_string(site.folder.path().join("audit.jsonl")).unwrap();
    assert!(!text.contains("canary-audited"), "{text}");
    let operator = untimed_events(&text)[0]["principal"].clone();
    let arguments = json!({ "name": "TOKEN" });
    let call = |rest: Value| {
        let mut event = json!({
            "action": "tools/call", "principal": "ann", "gateway": "default", "arguments": arguments,
        });
        event
            .as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        event
    };
    let change = |action: &str| {
        json!({
            "action": action, "principal": operator, "server": "jira", "owner": "user/ann", "outcome": "ok",
        })
    };
    assert_eq!(
        untimed_events(&text),
        [
            json!({ "action": "token.create", "principal": operator, "name": "user/ann", "outcome": "ok" }),
            call(json!({
                "name": "digest", "server": "jira", "outcome": "failed", "error": "credential_missing",
            })),
            change("credential.install"),
            call(json!({
                "name": "digest", "server": "jira", "owner": "user/ann", "ran": true, "outcome": "ok",
            })),
            // With bare names, a tool that is not in the list is called on the only server, which may have it by now.
            call(json!({
                "name": "no_such_tool", "server": "jira", "owner": "user/ann", "ran": true,
                "outcome": "server_error",
            })),
            change("credential.uninstall"),
        ]
    );
}
