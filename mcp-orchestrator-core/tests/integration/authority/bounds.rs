//! Tests the limits on what one principal can make the gateway store, and that reaching them does not affect other
//! principals.

use std::num::NonZeroUsize;

use mcp_orchestrator_core::ErrorKind;
use mcp_orchestrator_core::credential::CredentialRule;
use mcp_orchestrator_core::limits::{
    MAX_ITEM_BYTES, MAX_LIST_BYTES, MAX_LISTENS_PER_PRINCIPAL, MAX_SUBSCRIBED_URI_LEN,
};
use mcp_orchestrator_core::orchestrator::Limits;
use mcp_orchestrator_core::router::ToolFilter;
use mcp_orchestrator_core::server::Isolation;
use serde_json::{Value, json};

use crate::authority::site::{Session, Site, drain, entry, gateway, next, server};
use crate::authority::wait::until;

async fn site(limits: Limits) -> Site {
    let site = Site::new(vec![server("x", Isolation::Shared, false)], limits).await;
    let all = entry("x", CredentialRule::None, ToolFilter::All);
    site.gateways([gateway("g", &["ann", "bob"], &[], vec![all])]);
    site
}

fn sessions(most: usize) -> Limits {
    Limits {
        sessions_per_principal: NonZeroUsize::new(most),
        ..Limits::default()
    }
}

#[tokio::test]
async fn least_recently_used_session_is_evicted() {
    let site = site(sessions(3)).await;
    let bob = site.session("bob", "g").await.unwrap();
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(site.session("ann", "g").await.unwrap());
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    }
    open[0].request(1, "ping", &json!({})).await.unwrap();
    let fourth = site.session("ann", "g").await.unwrap();
    let gone = open[1].request(1, "ping", &json!({})).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::SessionNotFound);
    for session in [&open[0], &open[2], &fourth, &bob] {
        session.request(2, "ping", &json!({})).await.unwrap();
    }
}

#[tokio::test]
async fn sessions_in_use_are_not_evicted() {
    let site = site(sessions(2)).await;
    let first = site.session("ann", "g").await.unwrap();
    let second = site.session("ann", "g").await.unwrap();
    let stream = first.listen().await.unwrap();
    let _other = second.listen().await.unwrap();
    let refused = site.session("ann", "g").await.err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Overloaded);
    assert!(refused.retry_after().is_some());
    site.session("bob", "g").await.unwrap();
    // There is room again once a session is released.
    drop(stream);
    first.end();
    site.session("ann", "g").await.unwrap();
}

#[tokio::test]
async fn one_user_cannot_lock_out_others() {
    let site = site(sessions(20)).await;
    for _ in 0..500 {
        let _ = site.session("ann", "g").await;
    }
    let bob = site.session("bob", "g").await.unwrap();
    bob.request(1, "ping", &json!({})).await.unwrap();
}

#[tokio::test]
async fn subscription_streams_per_principal_are_bounded() {
    let site = site(Limits::default()).await;
    let wants = json!({ "toolsListChanged": true });
    let mut streams = Vec::new();
    for _ in 0..MAX_LISTENS_PER_PRINCIPAL {
        streams.push(site.listen("ann", "g", &wants).await.unwrap());
    }
    let refused = site.listen("ann", "g", &wants).await.err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Overloaded);
    site.listen("bob", "g", &wants).await.unwrap();
    streams.pop();
    site.listen("ann", "g", &wants).await.unwrap();
}

#[tokio::test]
async fn oversized_uri_cannot_be_subscribed_to() {
    let site = site(Limits::default()).await;
    let ann = site.session("ann", "g").await.unwrap();
    ann.request(1, "tools/list", &json!({})).await.unwrap();
    let long = format!("mem://{}", "x".repeat(MAX_SUBSCRIBED_URI_LEN));
    let refused = ann
        .request(2, "resources/subscribe", &json!({ "uri": long }))
        .await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidParams);
    let wants = json!({ "resourceSubscriptions": [long, "mem://x/a"] });
    let mut stream = site.listen("ann", "g", &wants).await.unwrap();
    let told = next(&mut stream).await.unwrap();
    let accepted = &told["params"]["notifications"]["resourceSubscriptions"];
    assert_eq!(*accepted, json!(["mem://x/a"]));
    assert!(drain(&mut stream).is_empty());
    assert_eq!(site.mind.subscribed(), ["mem://x/a"]);
}

#[tokio::test]
async fn cancelled_listen_leaves_no_subscription() {
    let site = site(Limits::default()).await;
    let ann = site.session("ann", "g").await.unwrap();
    ann.request(1, "tools/list", &json!({})).await.unwrap();
    for uris in [
        json!(["mem://1", "mem://never"]),
        json!(["mem://never"]),
        json!(["mem://1", "mem://2", "mem://3", "mem://never", "mem://4"]),
    ] {
        let wants = json!({ "resourceSubscriptions": uris });
        let listening = site.listen("ann", "g", &wants);
        let before = site.mind.got_of("resources/subscribe").len();
        let count = uris
            .as_array()
            .unwrap()
            .iter()
            .position(|uri| uri == "mem://never");
        tokio::select! {
            _ = listening => panic!("one subscription is never answered"),
            () = site.mind.until("the last subscription", |got| {
                let asked = got.iter().filter(|got| got.method() == "resources/subscribe");
                asked.count() > before + count.unwrap()
            }) => {}
        }
        until("the end of all subscriptions", || {
            site.mind.subscribed().is_empty()
        })
        .await;
    }
    // An instance that starts does not restore abandoned subscriptions.
    let wants = json!({ "resourceSubscriptions": ["mem://x/a"] });
    let mut stream = site.listen("ann", "g", &wants).await.unwrap();
    next(&mut stream).await.unwrap();
    assert_eq!(site.mind.subscribed(), ["mem://x/a"]);
}

/// Creates a task at a server.
async fn make_task(session: &Session<'_>, id: u64, server: &str) {
    let meta = json!({ "who": session.name });
    let params = json!({ "name": format!("{server}__task"), "task": {}, "_meta": meta });
    let answer = session.request(id, "tools/call", &params).await.unwrap();
    assert!(answer["result"]["task"].is_object(), "{answer}");
}

/// Lists the tasks of a session's user.
async fn tasks(session: &Session<'_>, id: u64) -> Vec<Value> {
    let answer = session.request(id, "tasks/list", &json!({})).await.unwrap();
    answer["result"]["tasks"].as_array().unwrap().clone()
}

/// A site with two servers.
async fn two_servers(isolation: Isolation, limits: Limits) -> Site {
    let names = ["x", "y"];
    let servers = names.map(|name| server(name, isolation, false));
    let site = Site::new(servers.into(), limits).await;
    let entries = names.map(|name| entry(name, CredentialRule::None, ToolFilter::All));
    site.gateways([gateway("g", &["ann", "bob"], &[], entries.into())]);
    site
}

#[tokio::test]
async fn every_request_that_reaches_servers_counts_as_a_call() {
    let limits = |principal, server| Limits {
        calls_per_principal: NonZeroUsize::new(principal),
        calls_per_server: NonZeroUsize::new(server),
        ..Limits::default()
    };
    for limits in [limits(1, 0), limits(0, 1)] {
        let site = two_servers(Isolation::Principal, limits).await;
        let ann = site.session("ann", "g").await.unwrap();
        make_task(&ann, 1, "x").await;
        make_task(&ann, 2, "y").await;
        assert_eq!(tasks(&ann, 3).await.len(), 2);
        let level = json!({ "level": "info" });
        ann.request(4, "logging/setLevel", &level).await.unwrap();
        ann.request(9, "resources/list", &json!({})).await.unwrap();
        let asks = json!({ "name": "x__ask" });
        let mut call = ann.begin(5, "tools/call", &asks).await.unwrap();
        next(&mut call).await.unwrap();
        let before = site.mind.got().len();
        for (id, method, params) in [
            (6, "tasks/list", json!({})),
            (7, "logging/setLevel", level),
            (8, "resources/subscribe", json!({ "uri": "mem://x/a" })),
        ] {
            let refused = ann.request(id, method, &params).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Overloaded, "{method}");
        }
        let got = site.mind.got().split_off(before);
        let none = got.iter().all(|got| got.method().ends_with("/list"));
        assert!(none, "{got:?}");
        assert!(
            got.iter().all(|got| got.method() != "tasks/list"),
            "{got:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn server_that_does_not_answer_delays_no_list_of_tasks_and_no_log_level() {
    let site = two_servers(Isolation::Shared, Limits::default()).await;
    let ann = site.session("ann", "g").await.unwrap();
    make_task(&ann, 1, "x").await;
    make_task(&ann, 2, "y").await;
    let (began, limit) = (
        tokio::time::Instant::now(),
        server("x", Isolation::Shared, false).limits,
    );
    for mute in ["x", "y"] {
        site.mind.mute(mute, "tasks/list");
        let listed = tasks(&ann, 3).await;
        assert_eq!(listed.len(), 1, "{listed:?}");
        site.mind.mute(mute, "logging/setLevel");
        let level = json!({ "level": "info" });
        let before = site.mind.got_of("logging/setLevel").len();
        ann.request(4, "logging/setLevel", &level).await.unwrap();
        assert_eq!(site.mind.got_of("logging/setLevel").len(), before + 2);
    }
    assert!(
        began.elapsed() < limit.list_timeout * 5,
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn length_of_a_list_of_tasks_is_bounded() {
    let site = two_servers(Isolation::Shared, Limits::default()).await;
    let ann = site.session("ann", "g").await.unwrap();
    let server = |id: u64| if id.is_multiple_of(2) { "x" } else { "y" };
    for id in 1..=2 {
        make_task(&ann, id, server(id)).await;
    }
    assert_eq!(tasks(&ann, 100).await.len(), 2);
    // A task that is too long is left out.
    site.mind.pad(MAX_ITEM_BYTES);
    assert!(tasks(&ann, 101).await.is_empty());
    for id in 3..=24 {
        make_task(&ann, id, server(id)).await;
    }
    site.mind.pad(MAX_ITEM_BYTES * 3 / 4);
    let listed = tasks(&ann, 102).await;
    let len: usize = listed.iter().map(|task| task.to_string().len()).sum();
    assert!(
        (MAX_LIST_BYTES / 2..=MAX_LIST_BYTES).contains(&len),
        "{len}"
    );
}
