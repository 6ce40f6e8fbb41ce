//! Messages without an ID: a server receives only the messages that the protocol defines for clients, and only from
//! clients that may use it.

use mcp_orchestrator_core::credential::{CredentialRule, Owner};
use mcp_orchestrator_core::orchestrator::Limits;
use mcp_orchestrator_core::router::ToolFilter;
use mcp_orchestrator_core::server::Isolation;
use serde_json::{Value, json};

use crate::authority::site::{Site, entry, gateway, hiding, next, server, team};

async fn two_teams() -> Site {
    let servers = vec![server("x", Isolation::Session, true)];
    let site = Site::new(servers, Limits::default()).await;
    let all = || entry("x", CredentialRule::Resolve, ToolFilter::All);
    site.gateways([gateway("g", &["ann", "bob"], &[], vec![all()])]);
    site.teams(&[("ops", &["bob"])]);
    site.install("x", &Owner::Team(team("ops")), "r1").await;
    site
}

fn ask() -> Value {
    json!({ "name": "x__ask", "arguments": {} })
}

#[tokio::test]
async fn progress_on_a_server_request_goes_to_the_requesting_server() {
    let site = two_teams().await;
    let bob = site.session("bob", "g").await.unwrap();
    let mut call = bob.begin(1, "tools/call", &ask()).await.unwrap();
    let question = next(&mut call).await.unwrap();
    assert_eq!(question["method"], "elicitation/create");
    let token = &question["params"]["_meta"]["progressToken"];
    for token in [token.clone(), json!("p"), json!("another")] {
        let params = json!({ "progressToken": token, "progress": 1 });
        let progress =
            json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params });
        bob.notify(&progress).await.unwrap();
    }
    let roots = json!({ "jsonrpc": "2.0", "method": "notifications/roots/list_changed" });
    bob.notify(&roots).await.unwrap();
    site.mind
        .until("the client's word", |got| {
            got.iter()
                .any(|got| got.method() == "notifications/roots/list_changed")
        })
        .await;
    let progress = site.mind.got_of("notifications/progress");
    assert_eq!(progress.len(), 1);
    assert_eq!(progress[0].message["params"]["progressToken"], "p");
    let told = site.audit.told();
    let roots = ("notifications/roots/list_changed".into(), "ok".into());
    assert!(told.contains(&roots), "{told:?}");
}

#[tokio::test]
async fn former_team_member_can_neither_answer_nor_notify_its_server() {
    let site = two_teams().await;
    let bob = site.session("bob", "g").await.unwrap();
    let mut call = bob.begin(1, "tools/call", &ask()).await.unwrap();
    let question = next(&mut call).await.unwrap();
    site.teams(&[("ops", &[])]);
    let id = &question["id"];
    let result = json!({ "action": "accept", "content": { "secret": "of bob" } });
    bob.notify(&json!({ "jsonrpc": "2.0", "id": id, "result": result }))
        .await
        .unwrap();
    for method in ["notifications/roots/list_changed", "notifications/progress"] {
        let token = &question["params"]["_meta"]["progressToken"];
        let params = json!({ "progressToken": token, "progress": 1 });
        let message = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        bob.notify(&message).await.unwrap();
    }
    // The server receives an error as the answer to its request.
    site.mind
        .until("the refusal", |got| {
            got.iter()
                .any(|got| got.message["id"] == "q" && !got.message["error"].is_null())
        })
        .await;
    let got = site.mind.got();
    assert!(
        got.iter()
            .all(|got| !got.message.to_string().contains("of bob"))
    );
    assert!(
        site.mind
            .got_of("notifications/roots/list_changed")
            .is_empty()
    );
    assert!(site.mind.got_of("notifications/progress").is_empty());
}

#[tokio::test]
async fn unknown_method_is_audited_and_forwarded_only_to_unfiltered_servers() {
    let servers = vec![server("x", Isolation::Shared, false)];
    let site = Site::new(servers, Limits::default()).await;
    let hidden = hiding("hidden");
    site.gateways([
        gateway(
            "whole",
            &["ann"],
            &[],
            vec![entry("x", CredentialRule::None, ToolFilter::All)],
        ),
        gateway(
            "part",
            &["ann"],
            &[],
            vec![entry("x", CredentialRule::None, hidden)],
        ),
    ]);
    let whole = site.session("ann", "whole").await.unwrap();
    let answer = whole.request(1, "x/extension", &json!({})).await.unwrap();
    assert!(!answer["result"].is_null(), "{answer}");
    let told = site.audit.told();
    assert!(
        told.contains(&("x/extension".into(), "ok".into())),
        "{told:?}"
    );
    for method in [
        "notifications/cancelled",
        "elicitation/create",
        "sampling/createMessage",
        "roots/list",
    ] {
        whole.request(2, method, &json!({})).await.unwrap_err();
    }
    let part = site.session("ann", "part").await.unwrap();
    part.request(1, "x/extension", &json!({}))
        .await
        .unwrap_err();
    assert_eq!(site.mind.got_of("x/extension").len(), 1);
    assert!(site.mind.got_of("elicitation/create").is_empty());
}
