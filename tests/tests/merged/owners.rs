//! The owner of a resource that no list names.

use std::sync::Arc;

use mcp_orchestrator_core::auth::Principal;
use mcp_orchestrator_core::id::{GatewayId, PrincipalId};
use mcp_orchestrator_core::router::Item;
use mcp_orchestrator_tests::scripted::scripted;
use serde_json::Value;

use super::servers::{Described, KINDS, NO_RESOURCES, Over, Stage, of, server, text};

/// Three servers: two with resources of different schemes, one without resources.
fn three() -> [Described; 3] {
    [
        server("a").lists(&["alpha://1", "https://example.com/a", "shared://a"]),
        server("b").template("beta://{id}/x").lists(&["shared://b"]),
        server("c").declares(NO_RESOURCES),
    ]
}

#[tokio::test]
async fn unlisted_uri_is_read_from_the_only_server_that_uses_its_scheme() {
    for kind in KINDS {
        let stage = Stage::new(kind, &three()).await;
        let (session, client) = (stage.gateway.session().await, stage.gateway.client("bob"));
        for (uri, owner) in [
            ("alpha://2", "a"),
            ("ALPHA://2", "a"),
            ("alpha:2", "a"),
            ("beta://2", "b"),
            ("beta://", "b"),
        ] {
            let legacy = session.request("resources/read", &of(uri)).await;
            assert_eq!(text(&legacy), owner, "{kind:?} {uri}: {legacy}");
            let modern = client.modern("resources/read", &of(uri)).await;
            assert_eq!(text(&modern), owner, "{kind:?} {uri}: {modern}");
        }
    }
}

#[tokio::test]
async fn shared_schemes_decide_nothing_and_no_server_is_probed() {
    let stage = Stage::new(("legacy", Over::Http), &three()).await;
    let (session, client) = (stage.gateway.session().await, stage.gateway.client("bob"));
    for uri in [
        "shared://c",
        "https://example.com/b",
        "HTTP://example.com",
        "file:///etc/passwd",
        "gamma://1",
        "no-scheme",
        "{x}://a",
    ] {
        let legacy = session.request("resources/read", &of(uri)).await;
        assert_eq!(legacy["error"]["code"], -32002, "{uri}: {legacy}");
        let modern = client.modern("resources/read", &of(uri)).await;
        assert_eq!(modern["error"]["code"], -32602, "{uri}: {modern}");
        let subscribed = session.request("resources/subscribe", &of(uri)).await;
        assert_eq!(subscribed["error"]["code"], -32002, "{uri}: {subscribed}");
    }
    for name in ["a", "b", "c"] {
        for method in ["resources/read", "resources/subscribe"] {
            assert!(stage.upstream(name).received_of(method).is_empty());
        }
    }
}

#[tokio::test]
async fn only_server_with_resources_owns_every_uri() {
    for kind in KINDS {
        let servers = [
            server("tools").declares(NO_RESOURCES),
            server("files")
                .declares(r#"{"tools":{},"resources":{"subscribe":true},"completions":{}}"#),
        ];
        let stage = Stage::new(kind, &servers).await;
        let session = stage.gateway.session().await;
        for uri in ["file:///a", "https://example.com", "x://y", "relative"] {
            let read = session.request("resources/read", &of(uri)).await;
            assert_eq!(text(&read), "files", "{kind:?} {uri}: {read}");
        }
    }
}

#[tokio::test]
async fn unlisted_uri_can_be_subscribed_to_in_both_eras() {
    for kind in KINDS {
        let stage = Stage::new(kind, &three()).await;
        let session = stage.gateway.session().await;
        for method in ["resources/subscribe", "resources/unsubscribe"] {
            let done = session.request(method, &of("beta://7")).await;
            assert_eq!(done["result"], serde_json::json!({}), "{kind:?} {done}");
        }
        let wants = r#"{"notifications":{"resourceSubscriptions":["beta://8","shared://x"]}}"#;
        let client = stage.gateway.client("bob");
        let mut stream = client.modern_raw("1", "subscriptions/listen", wants).await;
        let first = stream.event().await.unwrap().json();
        let granted = &first["params"]["notifications"]["resourceSubscriptions"];
        assert_eq!(
            *granted,
            serde_json::json!(["beta://8"]),
            "{kind:?} {first}"
        );
    }
}

#[tokio::test]
async fn completion_for_an_unlisted_uri_goes_to_its_owner() {
    let stage = Stage::new(("legacy", Over::Pipe), &three()).await;
    let session = stage.gateway.session().await;
    for (uri, owner) in [
        ("beta://{id}/x", "b"),
        ("beta://{other}", "b"),
        ("alpha://{x}", "a"),
    ] {
        let params = format!(
            r#"{{"ref":{{"type":"ref/resource","uri":"{uri}"}},"argument":{{"name":"x","value":""}}}}"#
        );
        let done = session.request("completion/complete", &params).await;
        assert_eq!(
            done["result"]["completion"]["values"][0], owner,
            "{uri}: {done}"
        );
    }
}

#[tokio::test]
async fn uri_in_a_tool_definition_is_read_from_the_server_of_the_tool() {
    for kind in KINDS {
        let servers = [
            server("a").tool(r#"{"ui":{"resourceUri":"ui://a/main"}}"#),
            server("b").tool(r#"{"ui/resourceUri":"ui://b/main"}"#),
            server("c").tool(r#"{"ui":{"resourceUri":"ui:\/\/c/main","x":[1]},"y":1}"#),
        ];
        let stage = Stage::new(kind, &servers).await;
        // The client remembers the tools from an earlier conversation and requests no list.
        let client = stage.gateway.client("ann");
        for owner in ["c", "b", "a"] {
            let uri = format!("ui://{owner}/main");
            let read = client.modern("resources/read", &of(&uri)).await;
            assert_eq!(text(&read), owner, "{kind:?} {read}");
        }
        let unknown = client.modern("resources/read", &of("ui://d/main")).await;
        assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
    }
}

#[tokio::test]
async fn uri_in_a_result_is_read_from_the_server_of_the_result() {
    let servers = [server("a"), server("b"), server("c")].map(|one| one.tool("{}"));
    let stage = Stage::new(("legacy", Over::Pipe), &servers).await;
    let session = stage.gateway.session().await;
    session.tools().await;
    for (name, value) in [
        (
            "link",
            r#"{"content":[{"type":"resource_link","uri":"x://link","name":"n"}]}"#,
        ),
        (
            "embedded",
            r#"{"content":[{"type":"resource","resource":{"uri":"x://embedded","text":""}}]}"#,
        ),
        (
            "nested",
            r#"{"content":[],"_meta":{"ui":{"resourceUri" : "x://nested"}}}"#,
        ),
        (
            "flat",
            r#"{"content":[],"_meta":{"ui/resourceUri":"x://flat"}}"#,
        ),
    ] {
        let uri = format!("x://{name}");
        let before = session.request("resources/read", &of(&uri)).await;
        assert_eq!(before["error"]["code"], -32002, "{before}");
        session
            .tool("b__raw", &format!(r#"{{"value":{value}}}"#))
            .await;
        let read = session.request("resources/read", &of(&uri)).await;
        assert_eq!(text(&read), "b", "{name}: {read}");
        // Another principal has not seen the result.
        let other = stage
            .gateway
            .client("bob")
            .modern("resources/read", &of(&uri))
            .await;
        assert_eq!(other["error"]["code"], -32602, "{name}: {other}");
    }
}

#[tokio::test]
async fn owner_is_found_after_a_restart_and_beside_a_broken_server() {
    let folder = tempfile::tempdir().unwrap();
    let servers = three();
    let build = || {
        Stage::with(("legacy", Over::Pipe), &servers, |builder| {
            builder
                .state(folder.path())
                .server(scripted("broken", &["--fail", "cannot"]))
        })
    };
    let stage = build().await;
    let session = stage.gateway.session().await;
    let read = session.request("resources/read", &of("beta://9")).await;
    assert_eq!(text(&read), "b", "{read}");
    drop(session);
    stage.gateway.stop(std::time::Duration::from_secs(1)).await;
    let stage = build().await;
    let session = stage.gateway.session().await;
    let done = session
        .request("resources/subscribe", &of("beta://9"))
        .await;
    assert_eq!(done["result"], serde_json::json!({}), "{done}");
}

#[tokio::test]
async fn explanation_says_why_a_server_owns_a_uri() {
    let stage = Stage::new(("legacy", Over::Pipe), &three()).await;
    let (default, session) = (GatewayId::default_gateway(), stage.gateway.session().await);
    session.tools().await;
    for list in ["resources/list", "resources/templates/list"] {
        session.request(list, "{}").await;
    }
    let ann = Arc::new(Principal::user(PrincipalId::new("ann").unwrap(), "test"));
    for (uri, name, why) in [
        ("alpha://1", "owner", "a lists it"),
        (
            "alpha://2",
            "owner",
            "a is the only server that uses its scheme",
        ),
        ("beta://2/x", "owner", "b has a template that matches it"),
        (
            "shared://c",
            "route",
            "several servers of the gateway use its scheme",
        ),
        (
            "https://x",
            "route",
            "several servers of the gateway have resources",
        ),
    ] {
        let orchestrator = &stage.gateway.orchestrator;
        let explained = orchestrator
            .explain(&ann, &default, Item::Resource(uri))
            .await;
        let mut steps = explained.steps.iter();
        let found = steps.any(|(step, text)| step == name && text.contains(why));
        assert!(found, "{uri}: {explained:?}");
    }
    let _: Value = session.request("ping", "{}").await;
}
