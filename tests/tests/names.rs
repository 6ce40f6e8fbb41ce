//! Names: which server a bare name resolves to, and names that several servers list.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its tasks end with its runtime"
)]

use std::sync::Arc;
use std::time::Duration;

use mcp_orchestrator_core::auth::Principal;
use mcp_orchestrator_core::id::{GatewayId, PrincipalId};
use mcp_orchestrator_core::router::{Item, ItemKind, ToolFilter, ToolNames};
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::scripted::scripted;

fn hide_all_but(tool: &str) -> ToolFilter {
    ToolFilter::Some {
        show: vec![tool.to_owned()],
        hide: Vec::new(),
        only: Vec::new(),
    }
}

#[tokio::test]
async fn bare_name_is_routed_to_the_server_that_lists_it() {
    let gateway = Gateway::new()
        .names(ToolNames::Bare)
        .server(scripted("a", &[]))
        .server(scripted("b", &["--tools", "3"]))
        .filter("a", hide_all_but("echo"))
        .run()
        .await;
    let session = gateway.session().await;
    let stats = session.tool("stats", "{}").await;
    let ours = session.tool("tool-2", "{}").await;
    assert_eq!(ours["result"]["content"][0]["text"], "tool-2", "{ours}");
    assert_eq!(
        stats["result"]["calls"], 1,
        "b answered, since a hides it: {stats}"
    );
    let nobody = session.tool("tool-3", "{}").await;
    assert_eq!(nobody["error"]["code"], -32602, "{nobody}");
}

#[tokio::test]
async fn names_are_routed_to_their_servers_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let long = "echo-with-a-name-that-is-longer-than-any-that-fits-beside-its-server";
    for names in [ToolNames::Bare, ToolNames::Prefixed] {
        let build = || {
            Gateway::new()
                .names(names)
                .server(scripted("first-server", &[]))
                .server(scripted("second-server", &["--tools", "3"]))
                .state(&folder.path().join(format!("{names:?}")))
        };
        let gateway = build().run().await;
        let tools = gateway.session().await.tools().await;
        let cut = tools.iter().rfind(|name| name.len() >= 61);
        let cut = cut.unwrap().clone();
        gateway.stop(Duration::from_secs(1)).await;
        let gateway = build().run().await;
        // A modern client does not initialize, and one that knows the names requests no list.
        let client = gateway.client("ann");
        let short = match names {
            ToolNames::Bare => "tool-2",
            _ => "second-server__tool-2",
        };
        let answer = client.modern_tool(short, "{}").await;
        assert_eq!(answer["result"]["content"][0]["text"], "tool-2", "{answer}");
        gateway.stop(Duration::from_secs(1)).await;
        let gateway = build().run().await;
        let answer = gateway.client("ann").modern_tool(&cut, r#"{"n":7}"#).await;
        assert_eq!(
            answer["result"]["echo"]["n"], 7,
            "{cut} is {long}: {answer}"
        );
    }
}

#[tokio::test]
async fn name_conflicts_between_servers_are_reported() {
    let gateway = Gateway::new()
        .names(ToolNames::Bare)
        .server(scripted("a", &[]))
        .server(scripted("b", &["--tools", "2"]))
        .filter("a", hide_all_but("tool-*"))
        .run()
        .await;
    let default = GatewayId::default_gateway();
    let ann = Arc::new(Principal::user(PrincipalId::new("ann").unwrap(), "test"));
    let orchestrator = &gateway.orchestrator;
    assert!(
        orchestrator
            .conflicts(&ann, &default)
            .await
            .unwrap()
            .is_empty()
    );
    gateway.session().await.tools().await;
    let found = orchestrator.conflicts(&ann, &default).await.unwrap();
    let tools: Vec<_> = found
        .iter()
        .filter(|one| one.kind == ItemKind::Tool)
        .collect();
    assert_eq!(tools.len(), 1, "{found:?}");
    assert_eq!(
        tools[0].to_string(),
        r#"tool "tool-0" is listed by a and b: a answers"#
    );
    let why = orchestrator
        .explain(&ann, &default, Item::Tool("tool-0"))
        .await;
    let others = why.steps.iter().find(|(name, _)| name == "others").unwrap();
    assert!(others.1.contains("b lists it too"), "{why:?}");
    let alone = orchestrator
        .explain(&ann, &default, Item::Tool("tool-1"))
        .await;
    assert!(
        alone.steps.iter().all(|(name, _)| name != "others"),
        "{alone:?}"
    );
}

#[tokio::test]
async fn internal_requests_are_not_counted_as_served() {
    let gateway = Gateway::new().server(scripted("x", &[])).run().await;
    let session = gateway.session().await;
    session.tools().await;
    let served = |all: Vec<mcp_orchestrator_core::orchestrator::InstanceInfo>| all[0].served;
    assert_eq!(served(gateway.orchestrator.instances().await), 0);
    session.tool("echo", "{}").await;
    session.tool("echo", "{}").await;
    assert_eq!(served(gateway.orchestrator.instances().await), 2);
}

#[tokio::test]
async fn explanation_of_a_name_without_its_prefix_suggests_the_only_server_that_lists_it() {
    let gateway = Gateway::new()
        .server(scripted("a", &["--tools", "2"]))
        .server(scripted("b", &["--tools", "3"]))
        .filter("a", hide_all_but("tool-*"))
        .run()
        .await;
    let ann = Arc::new(Principal::user(PrincipalId::new("ann").unwrap(), "test"));
    gateway.session().await.tools().await;
    for (name, suggested) in [
        ("tool-2", Some("did you mean b__tool-2?")),
        // Hidden at the other server.
        ("echo", Some("did you mean b__echo?")),
        // Both servers list it.
        ("tool-1", None),
        ("tool-9", None),
    ] {
        let default = GatewayId::default_gateway();
        let why = gateway
            .orchestrator
            .explain(&ann, &default, Item::Tool(name))
            .await;
        assert!(!why.routed);
        let (_, last) = why.steps.last().unwrap();
        match suggested {
            Some(suggested) => assert!(last.ends_with(suggested), "{last}"),
            None => assert!(!last.contains("did you mean"), "{last}"),
        }
    }
}
