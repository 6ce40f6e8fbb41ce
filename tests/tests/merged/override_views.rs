//! Tools that gateways change: several gateways over one server, changes while clients are connected, explanations.

use std::sync::Arc;

use mcp_orchestrator_core::audit::{Audit, AuditEvent, AuditSink};
use mcp_orchestrator_core::auth::Principal;
use mcp_orchestrator_core::credential::CredentialRule;
use mcp_orchestrator_core::id::{Alias, GatewayId, PrincipalId, ServerId};
use mcp_orchestrator_core::router::{
    FixedArguments, GatewaySpec, Item, Members, ToolFilter, ToolNames, ToolOverride, ToolOverrides,
    ViewEntry,
};
use parking_lot::Mutex;
use serde_json::json;
use serde_json::value::RawValue;

use super::servers::{Described, KINDS, Stage, server};

const TOOLS: &str = r#""tools":[{"name":"echo-a","inputSchema":{"type":"object","properties":{"x":{}}}},{"name":"echo-b","inputSchema":{"type":"object"}},{"name":"echo-c","inputSchema":{"type":"object","properties":{"x":{}},"oneOf":[{"required":["x"]}]}}]"#;

fn tools() -> Described {
    server("git").answer("tools/list", TOOLS)
}

fn change(own: &str, name: Option<&str>, x: Option<i32>) -> (String, ToolOverride) {
    let fixed = FixedArguments::default();
    let change = ToolOverride {
        name: name.map(str::to_owned),
        arguments: match x {
            Some(x) => fixed.with("x", &RawValue::from_string(x.to_string()).unwrap()),
            None => fixed,
        },
        ..ToolOverride::default()
    };
    (own.to_owned(), change)
}

fn gateway(id: &str, changes: Vec<(String, ToolOverride)>) -> GatewaySpec {
    GatewaySpec {
        id: GatewayId::new(id).unwrap(),
        members: Members::Everybody,
        names: ToolNames::Auto,
        entries: vec![ViewEntry {
            alias: Alias::new("git").unwrap(),
            server: ServerId::new("git").unwrap(),
            credential: CredentialRule::None,
            tools: ToolFilter::All,
            overrides: ToolOverrides::new(changes).unwrap(),
        }],
    }
}

#[tokio::test]
async fn gateways_change_the_same_server_differently() {
    let stage = Stage::new(KINDS[2], &[tools()]).await;
    stage.gateway.router.replace([
        gateway("default", Vec::new()),
        gateway("one", vec![change("echo-a", Some("first"), Some(1))]),
        gateway(
            "two",
            vec![
                change("echo-a", None, Some(2)),
                change("echo-b", Some("first"), None),
            ],
        ),
    ]);
    let client = |path: &str| stage.gateway.client("ann").at(path);
    for (path, names, call, x) in [
        ("/mcp", ["echo-a", "echo-b", "echo-c"], "echo-a", json!({})),
        (
            "/mcp/one",
            ["first", "echo-b", "echo-c"],
            "first",
            json!({"x": 1}),
        ),
        (
            "/mcp/two",
            ["echo-a", "first", "echo-c"],
            "echo-a",
            json!({"x": 2}),
        ),
        (
            "/mcp/two",
            ["echo-a", "first", "echo-c"],
            "first",
            json!({}),
        ),
    ] {
        let session = client(path).session().await;
        assert_eq!(session.tools().await, names, "{path}");
        let answer = session.tool(call, "{}").await;
        assert_eq!(answer["result"]["echo"], x, "{path} {call}");
        let answer = client(path).modern_tool(call, "{}").await;
        assert_eq!(answer["result"]["echo"], x, "{path} {call}");
    }
    assert_eq!(
        stage.upstream("git").received_of("tools/list").len(),
        1,
        "one list for all"
    );
    assert_eq!(
        stage.gateway.orchestrator.instances().await.len(),
        1,
        "one instance for all"
    );
}

#[tokio::test]
async fn changes_take_effect_at_once_and_are_announced() {
    let stage = Stage::new(KINDS[0], &[tools()]).await;
    let session = stage.gateway.session().await;
    assert_eq!(session.tools().await[0], "echo-a");
    let mut events = session.listen(None).await;
    stage.gateway.router.replace([gateway(
        "default",
        vec![change("echo-a", Some("first"), Some(1))],
    )]);
    stage
        .gateway
        .orchestrator
        .apply(stage.specs.iter().cloned().map(Arc::new));
    loop {
        let event = events.event().await.unwrap();
        if event.json()["method"] == "notifications/tools/list_changed" {
            break;
        }
    }
    assert_eq!(session.tools().await[0], "first");
    assert_eq!(session.tool("echo-a", "{}").await["error"]["code"], -32602);
    assert_eq!(
        session.tool("first", "{}").await["result"]["echo"],
        json!({"x": 1})
    );
}

#[tokio::test]
async fn changes_that_do_not_fit_the_servers_list_are_reported() {
    let stage = Stage::new(KINDS[0], &[tools()]).await;
    stage.gateway.router.replace([gateway(
        "default",
        vec![
            change("echo-a", Some("echo-b"), Some(1)),
            change("absent", Some("x"), None),
            change("echo-c", None, Some(1)),
        ],
    )]);
    let (ann, default) = (
        Arc::new(Principal::user(PrincipalId::new("ann").unwrap(), "test")),
        GatewayId::default_gateway(),
    );
    let orchestrator = &stage.gateway.orchestrator;
    assert!(
        orchestrator
            .conflicts(&ann, &default)
            .await
            .unwrap()
            .is_empty()
    );
    let session = stage.gateway.session().await;
    // The renamed tool has the name; the other one is not shown.
    assert_eq!(session.tools().await, ["echo-b", "echo-c"]);
    let answer = session.tool("echo-b", "{}").await;
    assert_eq!(answer["result"]["echo"], json!({"x": 1}));
    let found = orchestrator.conflicts(&ann, &default).await.unwrap();
    let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
    for text in [
        r#"tool "echo-b" of git is not shown: its tool "echo-a" is renamed to this name"#,
        r#"tool "absent" of git is changed, and git does not list it"#,
        r#"tool "echo-c" of git: the argument "x" is set on every call, but its input schema names it under `oneOf` too, so that callers see it; calls that send it are rejected"#,
    ] {
        assert!(texts.iter().any(|one| one == text), "{text}\n{texts:#?}");
    }
    assert_eq!(
        found.iter().filter(|one| one.hides_item()).count(),
        1,
        "{texts:#?}"
    );
    assert_eq!(found.len(), 3, "{texts:#?}");
}

/// Keeps the names in audit events.
#[derive(Debug, Default)]
struct Names(Mutex<Vec<[Option<String>; 2]>>);

impl AuditSink for Names {
    fn record(&self, event: &AuditEvent) {
        let text = |name: &Option<Box<str>>| name.as_deref().map(str::to_owned);
        let names = [text(&event.name), text(&event.own_name)];
        self.0.lock().push(names);
    }
}

#[tokio::test]
async fn audit_log_has_both_names_of_a_renamed_tool() {
    let stage = Stage::new(KINDS[0], &[tools()]).await;
    let changes = vec![
        change("echo-a", Some("first"), None),
        change("echo-b", None, Some(1)),
    ];
    stage.gateway.router.replace([gateway("default", changes)]);
    let names = Arc::new(Names::default());
    let sink: Arc<dyn AuditSink> = Arc::<Names>::clone(&names);
    stage.gateway.orchestrator.set_audit(Audit::new([sink]));
    let session = stage.gateway.session().await;
    session.tool("first", "{}").await;
    session.tool("echo-b", "{}").await;
    let calls = names.0.lock().clone();
    let wanted = [("first", Some("echo-a")), ("echo-b", None)];
    let wanted = wanted.map(|(name, own)| [Some(name.to_owned()), own.map(str::to_owned)]);
    for one in wanted {
        assert!(calls.contains(&one), "{one:?}: {calls:?}");
    }
}

#[tokio::test]
async fn explanations_name_the_tool_at_the_server() {
    let stage = Stage::new(KINDS[0], &[tools()]).await;
    let changes = vec![change("echo-a", Some("first"), Some(1))];
    stage.gateway.router.replace([gateway("default", changes)]);
    stage.gateway.session().await.tools().await;
    let ann = Arc::new(Principal::user(PrincipalId::new("ann").unwrap(), "test"));
    let explain = |name: &'static str| {
        let (ann, orchestrator) = (Arc::clone(&ann), stage.gateway.orchestrator.clone());
        async move {
            let default = GatewayId::default_gateway();
            let explained = orchestrator.explain(&ann, &default, Item::Tool(name)).await;
            (explained.routed, format!("{:?}", explained.steps))
        }
    };
    let (routed, steps) = explain("first").await;
    assert!(routed, "{steps}");
    assert!(
        steps.contains(r#"own name \"echo-a\""#) && steps.contains("hides and sets x"),
        "{steps}"
    );
    let (routed, steps) = explain("echo-a").await;
    assert!(
        !routed && steps.contains(r#"tool \"echo-a\" of git is called \"first\" on this gateway"#),
        "{steps}"
    );
    let (routed, steps) = explain("echo-b").await;
    assert!(routed && !steps.contains("hides and sets"), "{steps}");
}
