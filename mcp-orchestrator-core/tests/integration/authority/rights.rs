//! A caller that loses a membership, a team or a credential loses everything that depends on it.

use mcp_orchestrator_core::ErrorKind;
use mcp_orchestrator_core::credential::{CredentialRule, Owner};
use mcp_orchestrator_core::orchestrator::Limits;
use mcp_orchestrator_core::router::{GatewaySpec, ToolFilter};
use mcp_orchestrator_core::server::Isolation;
use serde_json::json;

use crate::authority::site::{Site, drain, entry, gateway, next, server, team};
use crate::authority::wait::until;

fn of(users: &[&str]) -> GatewaySpec {
    let all = entry("x", CredentialRule::Resolve, ToolFilter::All);
    gateway("g", users, &[], vec![all])
}

/// Creates a gateway with the members Ann and Bob. Its server has a credential of Bob's team and one of the
/// organization.
async fn site(isolation: Isolation) -> Site {
    let site = Site::new(vec![server("x", isolation, true)], Limits::default()).await;
    site.gateways([of(&["ann", "bob"])]);
    site.teams(&[("ops", &["bob"])]);
    site.install("x", &Owner::Team(team("ops")), "r1").await;
    site
}

fn wants() -> serde_json::Value {
    json!({ "toolsListChanged": true, "resourceSubscriptions": ["mem://x/a"] })
}

#[tokio::test]
async fn leaving_a_gateway_ends_its_streams_and_sessions() {
    let site = site(Isolation::Shared).await;
    site.install("x", &Owner::Organization, "r1").await;
    let sessions = [
        site.session("ann", "g").await.unwrap(),
        site.session("bob", "g").await.unwrap(),
    ];
    let mut streams = Vec::new();
    for session in &sessions {
        session.request(1, "tools/list", &json!({})).await.unwrap();
        streams.push(session.listen().await.unwrap());
    }
    let mut modern = Vec::new();
    for name in ["ann", "bob"] {
        let mut stream = site.listen(name, "g", &wants()).await.unwrap();
        let acknowledged = next(&mut stream).await.unwrap();
        assert_eq!(
            acknowledged["params"]["notifications"]["resourceSubscriptions"],
            json!(["mem://x/a"])
        );
        modern.push(stream);
    }
    assert_eq!(site.mind.subscribed().len(), 2);
    site.gateways([of(&["ann"])]);
    let [ann, bob] = &sessions;
    while next(&mut streams[1]).await.is_some() {}
    let ended = loop {
        let message = next(&mut modern[1]).await.unwrap();
        if !message["result"].is_null() {
            break message;
        }
    };
    assert_eq!(ended["result"]["resultType"], "complete");
    assert!(next(&mut modern[1]).await.is_none());
    let gone = bob.request(9, "ping", &json!({})).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::SessionNotFound);
    until("the end of bob's subscription", || {
        site.mind.subscribed().len() == 1
    })
    .await;
    ann.request(9, "ping", &json!({})).await.unwrap();
}

#[tokio::test]
async fn leaving_a_team_ends_messages_from_its_instance() {
    let site = site(Isolation::Shared).await;
    let bob = site.session("bob", "g").await.unwrap();
    let call = json!({ "name": "x__echo", "arguments": {} });
    bob.request(1, "tools/call", &call).await.unwrap();
    let uri = json!({ "uri": "mem://x/a" });
    bob.request(2, "resources/subscribe", &uri).await.unwrap();
    let mut stream = bob.listen().await.unwrap();
    let mut modern = site.listen("bob", "g", &wants()).await.unwrap();
    next(&mut modern).await.unwrap();
    let [instance] = &site.mind.running()[..] else {
        panic!("one instance runs");
    };
    let updated = |n: u32| {
        let params = json!({ "uri": "mem://x/a", "n": n });
        json!({ "jsonrpc": "2.0", "method": "notifications/resources/updated", "params": params })
    };
    site.mind.say(instance, &updated(1));
    for stream in [&mut stream, &mut modern] {
        loop {
            let message = next(stream).await.unwrap();
            if message["params"]["n"] == 1 {
                break;
            }
        }
    }
    site.teams(&[("ops", &[])]);
    site.mind.say(instance, &updated(2));
    until("the end of both subscriptions", || {
        site.mind.subscribed().is_empty()
    })
    .await;
    site.mind.say(instance, &updated(3));
    for stream in [&mut stream, &mut modern] {
        let heard = drain(stream);
        assert!(
            heard.iter().all(|message| message["params"]["n"].is_null()),
            "{heard:?}"
        );
    }
    // The session stays open for everything that Bob may still use.
    bob.request(3, "ping", &json!({})).await.unwrap();
}

#[tokio::test]
async fn private_instance_sends_nothing_to_other_users_of_its_credential() {
    let site = Site::new(
        vec![server("x", Isolation::Principal, true)],
        Limits::default(),
    )
    .await;
    site.gateways([of(&["ann", "bob"])]);
    site.install("x", &Owner::Organization, "r1").await;
    let uri = json!({ "uri": "mem://x/a" });
    let mut streams = Vec::new();
    for name in ["ann", "bob"] {
        let session = site.session(name, "g").await.unwrap();
        session.request(1, "tools/list", &json!({})).await.unwrap();
        session
            .request(2, "resources/subscribe", &uri)
            .await
            .unwrap();
        streams.push(session.listen().await.unwrap());
    }
    // Each subscribed at its own instance.
    assert_eq!(site.mind.subscribed().len(), 2);
    let instances = site.mind.running();
    assert_eq!(instances.len(), 2);
    for key in &instances {
        let params = json!({ "uri": "mem://x/a", "scope": key.scope().to_string() });
        let message = json!({ "jsonrpc": "2.0", "method": "notifications/resources/updated", "params": params });
        site.mind.say(key, &message);
    }
    for (stream, name) in streams.iter_mut().zip(["ann", "bob"]) {
        let told = loop {
            let message = next(stream).await.unwrap();
            if message["method"] == "notifications/resources/updated" {
                break message;
            }
        };
        assert_eq!(told["params"]["scope"], format!("principal/{name}"));
        assert!(
            drain(stream)
                .iter()
                .all(|more| more["params"]["scope"].is_null())
        );
    }
}

#[tokio::test]
async fn removed_credential_ends_its_subscriptions_and_server_requests() {
    let site = site(Isolation::Session).await;
    let bob = site.session("bob", "g").await.unwrap();
    bob.request(1, "tools/list", &json!({})).await.unwrap();
    let uri = json!({ "uri": "mem://x/a" });
    bob.request(2, "resources/subscribe", &uri).await.unwrap();
    let ask = json!({ "name": "x__ask", "arguments": {} });
    let mut call = bob.begin(3, "tools/call", &ask).await.unwrap();
    let question = next(&mut call).await.unwrap();
    site.uninstall("x", &Owner::Team(team("ops"))).await;
    let id = &question["id"];
    bob.notify(&json!({ "jsonrpc": "2.0", "id": id, "result": { "secret": "of bob" } }))
        .await
        .unwrap();
    until("the end of the subscription", || {
        site.mind.subscribed().is_empty() || site.mind.running().is_empty()
    })
    .await;
    let got = site.mind.got();
    assert!(
        got.iter()
            .all(|got| !got.message.to_string().contains("of bob"))
    );
}
