//! Authentication and credential resolution in the whole program, with tokens, teams and installed credentials.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its tasks end with its runtime"
)]

mod audit;
mod site;

use std::collections::BTreeMap;

use mcp_orchestrator_gateway::control::wire::credentials::{
    InstallRequest, SecretText, TokenRequest,
};
use mcp_orchestrator_tests::client::Client;
use mcp_orchestrator_tests::wait::within;
use secrecy::ExposeSecret as _;
use serde_json::json;

use site::{Site, config, identity, sha, start};

async fn shown(client: &Client) -> Vec<String> {
    let list = client.modern("tools/list", "{}").await;
    let tools = list["result"]["tools"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let names = tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap().to_owned());
    names.collect()
}

#[tokio::test]
async fn each_principal_is_served_with_its_own_credential() {
    let site = Site::new(&config()).await;
    let (ann, bob) = (site.token("user/ann").await, site.token("user/bob").await);
    let (team, all) = (
        site.token("team/ops").await,
        site.token("organization").await,
    );
    for client in [&ann, &bob, &team, &all] {
        assert_eq!(identity(client, "digest").await, "\"auth_required\"");
    }
    site.put("user/ann", "ann-1", false).await;
    site.put("team/ops", "ops-1", false).await;
    assert_eq!(identity(&ann, "digest").await, sha("ann-1"));
    assert_eq!(identity(&bob, "digest").await, sha("ops-1"));
    assert_eq!(identity(&team, "digest").await, sha("ops-1"));
    assert_eq!(identity(&all, "digest").await, "\"auth_required\"");
    site.put("organization", "acme-1", false).await;
    assert_eq!(identity(&all, "digest").await, sha("acme-1"));
    // After a rotation the next call uses the new credential; after a removal, that of the next owner in the order.
    site.put("user/ann", "ann-2", true).await;
    assert_eq!(identity(&ann, "digest").await, sha("ann-2"));
    site.remove("user/ann").await;
    assert_eq!(identity(&ann, "digest").await, sha("acme-1"));
    // After leaving the team, the next call no longer gets its credential, even in a session opened before.
    let session = bob.session().await;
    let before = session.tool("digest", r#"{"name":"TOKEN"}"#).await;
    assert_eq!(before["result"]["content"][0]["text"], sha("ops-1"));
    let mut left = config();
    left["teams"]["ops"]["members"] = json!(["eve"]);
    site.reload(&left).await;
    let after = session.tool("digest", r#"{"name":"TOKEN"}"#).await;
    assert_eq!(after["result"]["content"][0]["text"], sha("acme-1"));
    assert_eq!(identity(&bob, "digest").await, sha("acme-1"));
    // No instance of a removed credential keeps running.
    let instances = site.control.instances().await.unwrap();
    let of_ann = instances.iter().filter(|info| info.owner == "user/ann");
    assert_eq!(of_ann.count(), 0);
}

#[tokio::test]
async fn gateway_pins_credentials_and_is_visible_only_to_its_members() {
    let site = Site::new(&config()).await;
    let ops = |client: Client| client.at("/mcp/ops");
    let (ann, bob) = (
        site.token("user/ann").await,
        ops(site.token("user/bob").await),
    );
    let eve = ops(site.token("user/eve").await);
    // Ann is not a member: the gateway looks as if it did not exist.
    let status = |client: Client| async move {
        let answer = client.modern_raw("1", "tools/list", "{}").await;
        answer.status
    };
    assert_eq!(status(ops(ann.clone())).await, 404);
    assert_eq!(status(ann.clone().at("/mcp/none")).await, 404);
    assert_eq!(shown(&bob).await, ["jira__connect", "jira-ops__connect"]);
    let connect = identity(&bob, "jira-ops__connect").await;
    assert_eq!(connect, "\"auth_required\"");
    site.put("team/ops", "ops-1", false).await;
    site.put("user/eve", "eve-1", false).await;
    site.put("user/bob", "bob-1", false).await;
    assert_eq!(identity(&bob, "jira__digest").await, sha("bob-1"));
    assert_eq!(identity(&bob, "jira-ops__digest").await, sha("ops-1"));
    assert_eq!(identity(&eve, "jira-eve__digest").await, sha("eve-1"));
    // A server pinned to another user does not exist.
    let answer = identity(&bob, "jira-eve__digest").await;
    assert!(answer.starts_with("unknown tool"), "{answer}");
    let names = shown(&bob).await;
    assert!(names.contains(&"jira-ops__digest".to_owned()), "{names:?}");
    assert!(
        !names.iter().any(|name| name.starts_with("jira-eve")),
        "{names:?}"
    );
    // After the removal, no other credential replaces it.
    site.remove("team/ops").await;
    assert_eq!(
        identity(&bob, "jira-ops__digest").await,
        "\"auth_required\""
    );
}

#[tokio::test]
async fn token_is_valid_until_revoked_and_sessions_are_private() {
    let site = Site::new(&config()).await;
    let (ann, bob) = (site.token("user/ann").await, site.token("user/bob").await);
    let session = ann.session().await;
    let stolen = mcp_orchestrator_tests::client::Session {
        client: bob.clone(),
        ..session.clone()
    };
    assert_eq!(
        stolen.request_raw("1", "tools/list", "{}").await.status,
        404
    );
    for wrong in ["mcpo_wrong", "eyJhbGciOiJub25lIn0.e30.", ""] {
        let client = site.gateway.client().bearer(wrong);
        let answer = client.modern_raw("1", "tools/list", "{}").await;
        assert_eq!(answer.status, 401, "{wrong:?}");
        let challenge = answer.header("www-authenticate").unwrap_or_default();
        assert!(challenge.starts_with("Bearer"), "{challenge}");
    }
    let tokens = site.control.tokens().await.unwrap().tokens;
    let ids: Vec<_> = tokens
        .iter()
        .filter(|token| token.subject == "user/ann")
        .collect();
    site.control.revoke_token(&ids[0].id).await.unwrap();
    assert_eq!(
        session.request_raw("2", "tools/list", "{}").await.status,
        401
    );
    assert_eq!(bob.modern_raw("1", "tools/list", "{}").await.status, 200);
    // A token bound to one gateway is invalid for any other.
    let bound = TokenRequest {
        subject: "user/bob".into(),
        admin: false,
        gateway: Some("ops".into()),
        expires_in: None,
    };
    let made = site.control.make_token(&bound).await.unwrap();
    let bound = site.gateway.client().bearer(made.token.0.expose_secret());
    assert_eq!(bound.modern_raw("1", "tools/list", "{}").await.status, 404);
    let ops = bound.at("/mcp/ops");
    assert_eq!(ops.modern_raw("1", "tools/list", "{}").await.status, 200);
}

#[tokio::test]
async fn installations_and_tokens_survive_a_gateway_restart() {
    let mut site = Site::new(&config()).await;
    let ann = site.token("user/ann").await;
    site.put("user/ann", "canary-kept", false).await;
    assert_eq!(identity(&ann, "digest").await, sha("canary-kept"));
    // Killed, so that nothing is written on exit.
    site.gateway.child.kill().await.unwrap();
    let (gateway, control) = start(site.folder.path()).await;
    (site.gateway, site.control) = (gateway, control);
    let again = ann.to(site.gateway.address);
    assert_eq!(identity(&again, "digest").await, sha("canary-kept"));
    let known = site.control.installations().await.unwrap().installations;
    assert_eq!((known.len(), &known[0].owner[..]), (1, "user/ann"));
    // The files on disk do not reveal the value.
    let mut found = Vec::new();
    let mut folders = vec![site.folder.path().join("state")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(bytes) = std::fs::read(&path)
                && bytes.windows(11).any(|part| part == b"canary-kept")
            {
                found.push(path);
            }
        }
    }
    assert!(found.is_empty(), "{found:?}");
}

#[tokio::test]
async fn credential_changes_are_announced_only_to_its_users() {
    let site = Site::new(&config()).await;
    let (ann, bob) = (site.token("user/ann").await, site.token("user/bob").await);
    let (ann, bob) = (ann.session().await, bob.session().await);
    let mut to_ann = ann.listen(None).await;
    let mut to_bob = bob.listen(None).await;
    site.put("user/ann", "ann-1", false).await;
    let kinds = ["tools", "prompts", "resources"];
    for kind in kinds {
        let event = within("a change", to_ann.event()).await.unwrap();
        let method = format!("notifications/{kind}/list_changed");
        assert_eq!(event.json()["method"], method);
    }
    // Notifications are sent at once, so Bob would have received his by now.
    bob.delete().await;
    let rest = within("the end", to_bob.event()).await;
    assert!(rest.is_none(), "{:?}", rest.map(|event| event.json()));
}

/// The values that this principal has had; no other principal has them.
fn own(name: &str) -> Vec<String> {
    (0..3).map(|n| sha(&format!("canary-{name}-{n}"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_rotation_never_mixes_up_credentials() {
    let site = Site::new(&config()).await;
    let names: Vec<String> = (0..50).map(|n| format!("user-{n}")).collect();
    let mut clients = Vec::new();
    for name in &names {
        clients.push((name.clone(), site.token(&format!("user/{name}")).await));
        let request = InstallRequest {
            server: "jira".into(),
            owner: format!("user/{name}"),
            values: BTreeMap::from([(
                "token".to_owned(),
                SecretText(format!("canary-{name}-0").into()),
            )]),
            rotate: false,
            // The first call starts the server.
            unchecked: true,
        };
        site.control.install(&request).await.unwrap();
    }
    let rotating = async {
        for n in 1..3 {
            for name in names.iter().step_by(5) {
                site.put(&format!("user/{name}"), &format!("canary-{name}-{n}"), true)
                    .await;
            }
        }
    };
    let calling = futures_util::future::join_all(clients.iter().map(|(name, client)| async move {
        let own = own(name);
        let mut answers = 0;
        for _ in 0..20 {
            let answer = identity(client, "digest").await;
            assert!(own.contains(&answer), "{name}: {answer}");
            answers += 1;
        }
        answers
    }));
    let ((), answers) = futures_util::future::join(rotating, calling).await;
    assert_eq!(answers.iter().sum::<usize>(), 50 * 20);
    for (name, client) in clients.iter().step_by(5) {
        assert_eq!(identity(client, "digest").await, own(name)[2], "{name}");
    }
    // Only the newest instance of a rotated credential remains.
    let running = || async {
        let instances = site.control.instances().await.unwrap();
        let running = instances.iter().filter(|info| info.instance.is_some());
        running.count()
    };
    within("the rotated instances to be gone", async {
        while running().await != 50 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let log = std::fs::read_to_string(site.folder.path().join("errors")).unwrap();
    assert!(
        log.len() > 1000 && !log.contains("canary"),
        "a secret is in the log"
    );
}
