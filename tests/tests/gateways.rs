//! Prompts and completion, named gateways, and the log level of each session.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its tasks end with its runtime"
)]

use mcp_orchestrator_core::credential::CredentialRule;
use mcp_orchestrator_core::id::{Alias, GatewayId, PrincipalId};
use mcp_orchestrator_core::router::{
    GatewaySpec, Members, ToolFilter, ToolNames, ToolOverrides, ViewEntry,
};
use mcp_orchestrator_tests::client::Session;
use mcp_orchestrator_tests::gateway::{Gateway, server_id};
use mcp_orchestrator_tests::scripted::{Script, Upstream, scripted};
use serde_json::{Value, json};

fn names(list: &Value, kind: &str) -> Vec<String> {
    let items = list["result"][kind].as_array().cloned().unwrap_or_default();
    let name = |item: &Value| item["name"].as_str().unwrap().to_owned();
    items.iter().map(name).collect()
}

fn greeting(name: &str) -> (String, String) {
    let get = json!({ "name": name, "arguments": { "who": "ann" } });
    let complete = json!({
        "ref": { "type": "ref/prompt", "name": name },
        "argument": { "name": "who", "value": "an" },
    });
    (get.to_string(), complete.to_string())
}

#[tokio::test]
async fn prompts_and_completions_are_routed_to_their_servers() {
    for (scheme, shown) in [
        (ToolNames::Prefixed, ["a__greet", "b__greet"]),
        (ToolNames::Bare, ["greet", "greet"]),
    ] {
        let mut modern = scripted("b", &["--era", "modern"]);
        modern.era = mcp_orchestrator_core::server::EraChoice::Modern;
        let gateway = Gateway::new()
            .names(scheme)
            .server(scripted("a", &[]))
            .server(modern)
            .run()
            .await;
        let session = gateway.session().await;
        let client = gateway.client("bob");
        let legacy = names(&session.request("prompts/list", "{}").await, "prompts");
        let mut expected = shown.to_vec();
        expected.dedup();
        assert_eq!(legacy, expected);
        assert_eq!(
            names(&client.modern("prompts/list", "{}").await, "prompts"),
            legacy
        );
        for name in shown {
            let (get, complete) = greeting(name);
            for answer in [
                session.request("prompts/get", &get).await,
                client.modern("prompts/get", &get).await,
            ] {
                let text = &answer["result"]["messages"][0]["content"]["text"];
                assert_eq!(text, "ann", "{name}: {answer}");
            }
            for answer in [
                session.request("completion/complete", &complete).await,
                client.modern("completion/complete", &complete).await,
            ] {
                let values = &answer["result"]["completion"]["values"];
                assert_eq!(*values, json!(["an"]), "{name}: {answer}");
            }
        }
        let (get, complete) = greeting("c__greet");
        let unknown = session.request("prompts/get", &get).await;
        assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
        let unknown = session.request("completion/complete", &complete).await;
        assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
    }
}

fn entry(alias: &str, server: &str, tools: ToolFilter) -> ViewEntry {
    ViewEntry {
        alias: Alias::new(alias).unwrap(),
        server: server_id(server),
        credential: CredentialRule::None,
        tools,
        overrides: ToolOverrides::default(),
    }
}

fn only(tools: &[&str]) -> ToolFilter {
    ToolFilter::Some {
        show: tools.iter().map(|tool| (*tool).to_owned()).collect(),
        hide: Vec::new(),
        only: Vec::new(),
    }
}

/// `/mcp` shows both servers, `/mcp/ops` selected tools of one of them under two names.
async fn with_ops() -> Gateway {
    let gateway = Gateway::new()
        .server(scripted("a", &["--tools", "3"]))
        .server(scripted("b", &[]))
        .run()
        .await;
    let all = GatewaySpec {
        id: GatewayId::default_gateway(),
        members: Members::Everybody,
        names: ToolNames::Auto,
        entries: vec![
            entry("a", "a", ToolFilter::All),
            entry("b", "b", ToolFilter::All),
        ],
    };
    let ops = GatewaySpec {
        id: GatewayId::new("ops").unwrap(),
        members: Members::Everybody,
        names: ToolNames::Auto,
        entries: vec![
            entry("few", "a", only(&["echo", "stats"])),
            entry("more", "a", only(&["tool-*"])),
        ],
    };
    gateway.router.replace([all, ops]);
    gateway
}

#[tokio::test]
async fn named_gateway_lists_its_own_servers_and_tools() {
    let gateway = with_ops().await;
    let ops = gateway.client("ann").at("/mcp/ops");
    let session = ops.session().await;
    let shown = [
        "few__echo",
        "few__stats",
        "more__tool-0",
        "more__tool-1",
        "more__tool-2",
    ];
    assert_eq!(session.tools().await, shown);
    assert_eq!(names(&ops.modern("tools/list", "{}").await, "tools"), shown);
    for name in ["few__echo", "more__tool-1"] {
        let legacy = session.tool(name, r#"{"n":1}"#).await;
        let modern = ops.modern_tool(name, r#"{"n":1}"#).await;
        assert!(
            legacy["result"].is_object() && modern["result"].is_object(),
            "{name}"
        );
    }
    // Tools that are shown elsewhere or hidden are reported as unknown.
    for name in ["a__echo", "b__echo", "few__tool-0", "more__echo", "echo"] {
        let legacy = session.tool(name, "{}").await;
        let modern = ops.modern_tool(name, "{}").await;
        for answer in [legacy, modern] {
            let message = answer["error"]["message"].as_str().unwrap();
            assert!(message.starts_with("unknown tool"), "{name}: {answer}");
        }
    }
    // Both aliases are one server and one instance.
    assert_eq!(gateway.pids().await.len(), 1);
}

#[tokio::test]
async fn session_is_bound_to_its_gateway_and_unknown_gateways_are_not_found() {
    let gateway = with_ops().await;
    let ops = gateway.client("ann").at("/mcp/ops");
    let session = ops.session().await;
    let elsewhere = Session {
        client: gateway.client("ann"),
        ..session
    };
    let lost = elsewhere.request_raw("1", "tools/list", "{}").await;
    assert_eq!(lost.status, 404);
    let none = gateway.client("ann").at("/mcp/none");
    let answer = none.modern_raw("1", "tools/list", "{}").await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn gateway_is_visible_only_to_its_members() {
    let gateway = with_ops().await;
    let members = Members::These {
        users: vec![PrincipalId::new("ann").unwrap()],
        teams: vec![],
    };
    gateway.router.replace([GatewaySpec {
        id: GatewayId::new("ops").unwrap(),
        members,
        names: ToolNames::Auto,
        entries: vec![entry("a", "a", ToolFilter::All)],
    }]);
    let (ann, bob) = (gateway.client("ann"), gateway.client("bob"));
    let bob_at = |path: &str| bob.clone().at(path);
    let session = ann.at("/mcp/ops").session().await;
    assert!(!session.tools().await.is_empty());
    let mut answers = Vec::new();
    for path in ["/mcp/ops", "/mcp/none"] {
        let mut answer = bob_at(path).modern_raw("1", "tools/list", "{}").await;
        assert_eq!(answer.status, 404, "{path}");
        let text = String::from_utf8(answer.message().await.to_vec()).unwrap();
        answers.push(text.replace("none", "ops"));
    }
    // A gateway of others looks as if it did not exist.
    assert_eq!(answers[0], answers[1]);
    // A session opened by another principal cannot be used either.
    let stolen = Session {
        client: bob_at("/mcp/ops"),
        ..session
    };
    assert_eq!(
        stolen.request_raw("1", "tools/list", "{}").await.status,
        404
    );
}

#[tokio::test]
async fn each_session_gets_log_messages_at_its_own_level() {
    // Over HTTP each session has its own conversation; messages of a shared pipe go to the kept log only.
    let upstream = Upstream::start(Script::default()).await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let (few, many, unset) = (
        gateway.session().await,
        gateway.session().await,
        gateway.session().await,
    );
    for (session, level) in [(&few, "error"), (&many, "debug")] {
        let set = session
            .request("logging/setLevel", &format!(r#"{{"level":"{level}"}}"#))
            .await;
        assert_eq!(set["result"], json!({}), "{set}");
    }
    let wrong = few.request("logging/setLevel", r#"{"level":"loud"}"#).await;
    assert_eq!(wrong["error"]["code"], -32602, "{wrong}");
    for (session, expected) in [(&few, 0), (&many, 3), (&unset, 3)] {
        let mut reply = session.begin("1", "flood", r#"{"n":3}"#).await;
        let mut logged = 0;
        if reply.is_stream() {
            while let Some(event) = reply.event().await {
                let message = event.json();
                logged += usize::from(message["method"] == "notifications/message");
                if message["id"] == 1 {
                    break;
                }
            }
        }
        assert_eq!(logged, expected);
    }
    // With a lower level again, the session gets more messages.
    few.request("logging/setLevel", r#"{"level":"info"}"#).await;
    let mut reply = few.begin("2", "flood", r#"{"n":1}"#).await;
    let first = reply.event().await.unwrap().json();
    assert_eq!(first["params"]["level"], "info", "{first}");
}
