//! At any quiet moment, the subscriptions at a server are those that the open and permitted streams and sessions want.

use futures_util::FutureExt as _;
use mcp_orchestrator_core::call::Reply;
use mcp_orchestrator_core::credential::{CredentialRule, Owner};
use mcp_orchestrator_core::orchestrator::Limits;
use mcp_orchestrator_core::router::{GatewaySpec, ToolFilter};
use mcp_orchestrator_core::server::Isolation;
use serde_json::{Value, json};

use crate::authority::site::{Site, drain, entry, gateway, next, server, team, user};
use crate::authority::wait::{until, within};

const A: &str = "mem://x/a";

fn of(users: &[&str]) -> GatewaySpec {
    let x = entry("x", CredentialRule::Resolve, ToolFilter::All);
    gateway("g", users, &[], vec![x])
}

async fn site(isolation: Isolation) -> Site {
    let site = Site::new(vec![server("x", isolation, true)], Limits::default()).await;
    site.gateways([of(&["ann", "bob"])]);
    site.install("x", &Owner::Organization, "r1").await;
    site
}

fn wants(uris: &[&str]) -> Value {
    json!({ "resourceSubscriptions": uris })
}

/// Opens a stream and returns it with the resources that were accepted.
async fn listen(site: &Site, name: &str, uris: &[&str]) -> (Reply, Value) {
    let listening = site.listen(name, "g", &wants(uris));
    let mut stream = within("the stream", listening).await.unwrap();
    let acknowledged = next(&mut stream).await.unwrap();
    let accepted = &acknowledged["params"]["notifications"]["resourceSubscriptions"];
    (stream, accepted.clone())
}

/// Waits until exactly these resources are subscribed to, at all instances together.
async fn subscribed(site: &Site, uris: &[&str]) {
    until(&format!("the subscriptions {uris:?}"), || {
        resources(site) == uris
    })
    .await;
    // They must also stay like this.
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert_eq!(resources(site), uris);
}

/// Returns the resources with a subscription at a running instance.
fn resources(site: &Site) -> Vec<String> {
    let subscribed = site.mind.subscribed_at().into_iter();
    let resources: std::collections::BTreeSet<_> = subscribed.map(|(_, uri)| uri).collect();
    resources.into_iter().collect()
}

/// Calls a tool that never answers, which keeps the instance in use.
async fn busy(site: &Site) {
    let ask = json!({ "name": "x__ask", "arguments": {} });
    let eve = site.session("eve", "other").await.unwrap();
    let _ = eve.begin(1, "tools/call", &ask).now_or_never();
    let is_call = |got: &crate::authority::mind::ReceivedMessage| got.method() == "tools/call";
    site.mind
        .until("the call", |got| got.iter().any(is_call))
        .await;
}

fn other() -> GatewaySpec {
    let x = entry("x", CredentialRule::Resolve, ToolFilter::All);
    gateway("other", &["eve"], &[], vec![x])
}

#[tokio::test]
async fn instance_of_a_removed_server_keeps_no_subscription_while_it_drains() {
    let site = site(Isolation::Shared).await;
    site.gateways([of(&["ann", "bob"]), other()]);
    let (_ann, _) = listen(&site, "ann", &[A]).await;
    let (_bob, _) = listen(&site, "bob", &[A]).await;
    busy(&site).await;
    subscribed(&site, &[A]).await;
    site.gateways([of(&[]), other()]);
    site.orchestrator.apply([]);
    subscribed(&site, &[]).await;
    assert_eq!(site.mind.running().len(), 1, "the call keeps it in use");
    let x = std::sync::Arc::new(server("x", Isolation::Shared, true));
    site.orchestrator.apply([x]);
    subscribed(&site, &[]).await;
}

#[tokio::test]
async fn server_that_is_removed_alone_keeps_no_subscription_while_it_drains() {
    let site = site(Isolation::Shared).await;
    site.gateways([of(&["ann"]), other()]);
    let (_ann, _) = listen(&site, "ann", &[A]).await;
    busy(&site).await;
    subscribed(&site, &[A]).await;
    site.orchestrator.apply([]);
    subscribed(&site, &[]).await;
    assert_eq!(site.mind.running().len(), 1, "the call keeps it in use");
}

#[tokio::test]
async fn listener_that_leaves_early_takes_no_other_subscription_with_it() {
    let site = site(Isolation::Shared).await;
    let never = "mem://never";
    let (_open, accepted) = listen(&site, "ann", &[A]).await;
    assert_eq!(accepted, json!([A]));
    let first = site.listen("ann", "g", &wants(&[never]));
    let asked = || site.mind.got_of("resources/subscribe").len();
    tokio::select! {
        _ = first => panic!("the server never answers"),
        () = until("the subscription", || asked() > 1) => {}
    }
    subscribed(&site, &[A]).await;
    // The first listener is gone, and the server does not answer the second one either.
    let mut second = Box::pin(site.listen("bob", "g", &wants(&[A, never])));
    let before = asked();
    tokio::select! {
        _ = &mut second => panic!("the server never answers"),
        () = until("another subscription", || asked() > before) => {}
    }
    drop(second);
    subscribed(&site, &[A]).await;
}

#[tokio::test]
async fn second_listener_is_accepted_only_with_the_server() {
    let site = site(Isolation::Shared).await;
    for name in ["ann", "bob"] {
        let (_stream, accepted) = listen(&site, name, &["mem://refused", A]).await;
        assert_eq!(accepted, json!([A]), "{name}");
    }
    let (one, two) = tokio::join!(
        listen(&site, "ann", &["mem://refused"]),
        listen(&site, "bob", &["mem://refused"])
    );
    assert_eq!([one.1, two.1], [json!([]), json!([])]);
    subscribed(&site, &[]).await;
}

#[tokio::test]
async fn subscription_refused_after_a_start_is_not_left_at_the_server() {
    for name in ["ann", "bob"] {
        let site = site(Isolation::Shared).await;
        site.mind.hold("x");
        let listening = [
            site.listen("ann", "g", &wants(&[A])),
            site.listen("bob", "g", &wants(&[A])),
        ];
        let listening = futures_util::future::join_all(listening);
        let lose = async {
            until("the start", || site.mind.started("x") > 0).await;
            site.gateways([of(&[name])]);
            site.mind.let_go("x");
        };
        let (streams, ()) = within("the streams", async { tokio::join!(listening, lose) }).await;
        subscribed(&site, &[A]).await;
        site.gateways([of(&[])]);
        subscribed(&site, &[]).await;
        drop(streams);
    }
}

#[tokio::test]
async fn subscriptions_move_with_their_credential() {
    let site = site(Isolation::Shared).await;
    let ann = site.session("ann", "g").await.unwrap();
    let uri = json!({ "uri": A });
    ann.request(2, "resources/subscribe", &uri).await.unwrap();
    let mut hers = ann.listen().await.unwrap();
    let (mut his, _) = listen(&site, "bob", &[A]).await;
    subscribed(&site, &[A]).await;
    site.install("x", &Owner::Organization, "r2").await;
    // The next call starts the instance with the new credential.
    let eve = json!({ "name": "x__echo", "arguments": {} });
    ann.request(3, "tools/call", &eve).await.unwrap();
    until("the subscription at the new instance", || {
        let mut at = site.mind.subscribed_at().into_iter();
        at.any(|(key, _)| key.revision().as_str() == "r2")
    })
    .await;
    let instances = site.mind.running();
    let new = instances.iter().find(|key| key.revision().as_str() == "r2");
    let params = json!({ "uri": A, "n": 1 });
    let updated =
        json!({ "jsonrpc": "2.0", "method": "notifications/resources/updated", "params": params });
    site.mind.say(new.unwrap(), &updated);
    for stream in [&mut hers, &mut his] {
        while next(stream).await.unwrap()["params"]["n"] != 1 {}
    }
    site.gateways([of(&[])]);
    subscribed(&site, &[]).await;
}

#[tokio::test]
async fn subscription_resumes_with_the_right_to_it() {
    let site = Site::new(
        vec![server("x", Isolation::Shared, true)],
        Limits::default(),
    )
    .await;
    site.gateways([of(&["ann", "bob"])]);
    site.install("x", &Owner::Team(team("ops")), "r1").await;
    site.teams(&[("ops", &["ann", "bob"])]);
    let bob = site.session("bob", "g").await.unwrap();
    let uri = json!({ "uri": "mem://x/b" });
    bob.request(2, "resources/subscribe", &uri).await.unwrap();
    let (mut stream, _) = listen(&site, "bob", &[A]).await;
    let (_hers, _) = listen(&site, "ann", &["mem://x/c"]).await;
    subscribed(&site, &[A, "mem://x/b", "mem://x/c"]).await;
    site.teams(&[("ops", &["ann"])]);
    subscribed(&site, &["mem://x/c"]).await;
    drain(&mut stream);
    site.teams(&[("ops", &["ann", "bob"])]);
    subscribed(&site, &[A, "mem://x/b", "mem://x/c"]).await;
    // A client can give up what it wants while it has no right to it.
    site.teams(&[("ops", &["ann"])]);
    subscribed(&site, &["mem://x/c"]).await;
    bob.request(3, "resources/unsubscribe", &uri).await.unwrap();
    drop(stream);
    site.teams(&[("ops", &["ann", "bob"])]);
    subscribed(&site, &["mem://x/c"]).await;
}

#[tokio::test]
async fn subscription_follows_the_owner_of_the_credential() {
    let site = site(Isolation::Principal).await;
    let (_stream, _) = listen(&site, "bob", &[A]).await;
    subscribed(&site, &[A]).await;
    site.install("x", &Owner::User(user("bob")), "r1").await;
    // Calls go to his own instance from now on, and the other one has no subscriber.
    subscribed(&site, &[]).await;
    let echo = json!({ "who": "bob" });
    site.modern("bob", "g", "x__echo", &echo).await.unwrap();
    subscribed(&site, &[A]).await;
    let at = site.mind.subscribed_at();
    let theirs: Vec<_> = at.iter().map(|(key, _)| key.owner().to_string()).collect();
    assert_eq!(theirs, ["user/bob"]);
    site.uninstall("x", &Owner::User(user("bob"))).await;
    until("the subscription at the first instance", || {
        let at = site.mind.subscribed_at();
        at.iter()
            .any(|(key, _)| *key.owner() == Owner::Organization)
    })
    .await;
}

#[tokio::test]
async fn cancelled_subscribe_request_leaves_no_subscription() {
    let site = site(Isolation::Shared).await;
    let ann = site.session("ann", "g").await.unwrap();
    let never = json!({ "uri": "mem://never" });
    let call = ann.begin(7, "resources/subscribe", &never);
    let cancel = async {
        until("the subscription", || !site.mind.subscribed().is_empty()).await;
        let params = json!({ "requestId": 7 });
        let cancelled =
            json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params });
        ann.notify(&cancelled).await.unwrap();
    };
    let (_, ()) = within("the cancellation", async { tokio::join!(call, cancel) }).await;
    subscribed(&site, &[]).await;
}

#[tokio::test]
async fn last_of_several_streams_and_sessions_ends_the_subscription() {
    let site = site(Isolation::Shared).await;
    let (ann, bob) = (
        site.session("ann", "g").await.unwrap(),
        site.session("bob", "g").await.unwrap(),
    );
    let uri = json!({ "uri": A });
    for session in [&ann, &bob] {
        let answer = session
            .request(2, "resources/subscribe", &uri)
            .await
            .unwrap();
        assert!(answer["result"].is_object(), "{answer}");
    }
    let (stream, _) = listen(&site, "ann", &[A]).await;
    ann.request(3, "resources/unsubscribe", &uri).await.unwrap();
    subscribed(&site, &[A]).await;
    bob.end();
    subscribed(&site, &[A]).await;
    drop(stream);
    subscribed(&site, &[]).await;
    let refused = ann
        .request(4, "resources/subscribe", &json!({ "uri": "mem://refused" }))
        .await;
    let refused = refused.unwrap();
    assert_eq!(refused["error"]["code"], -32002, "{refused}");
    assert_eq!(refused["id"], 4);
}
