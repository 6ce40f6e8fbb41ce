//! Tools that a gateway changes: what clients see, and what servers receive.

use mcp_orchestrator_core::router::{FixedArguments, ToolNames, ToolOverride, ToolOverrides};
use mcp_orchestrator_tests::gateway::Builder;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::servers::{Described, KINDS, Over, Stage, server};

/// The list of tools of a server. `echo-b` declares nothing.
const TOOLS: &str = r#""tools":[{"name":"echo-a","x-unknown":123456789012345678901234567890,"title":"A","description":"does a","inputSchema":{"type":"object","x":1.50e+1,"properties":{"repo":{"type":"string"},"q":{"type":"string"},"limit":{"type":"integer"}},"required":["repo","q"],"additionalProperties":false},"outputSchema":{"type":"object"},"annotations":{"title":"A","readOnlyHint":true}},{"name":"echo-b","inputSchema":{"type":"object"}},{"name":"raw","inputSchema":{"type":"object"}}]"#;

fn tools() -> Described {
    server("git").answer("tools/list", TOOLS)
}

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

/// Renames `echo-a`, and sets its arguments `repo` and `limit`.
fn changes() -> ToolOverrides {
    let change = ToolOverride {
        name: Some("find".into()),
        title: Some("Find".into()),
        description: Some("Finds \"it\".\n".into()),
        arguments: FixedArguments::default()
            .with("repo", &raw(r#"{"a": [1,"é"]}"#))
            .with("limit", &raw("123456789012345678901234567890")),
    };
    ToolOverrides::new([("echo-a", change)]).unwrap()
}

fn renamed(own: &str, name: &str) -> ToolOverrides {
    let change = ToolOverride {
        name: Some(name.into()),
        ..ToolOverride::default()
    };
    ToolOverrides::new([(own, change)]).unwrap()
}

fn changed(builder: Builder) -> Builder {
    builder.overrides("git", changes())
}

/// Lists or calls as a client of each era.
struct Both {
    session: mcp_orchestrator_tests::client::Session,
    client: mcp_orchestrator_tests::client::Client,
}

impl Both {
    async fn of(stage: &Stage) -> Self {
        Self {
            session: stage.gateway.session().await,
            client: stage.gateway.client("ann"),
        }
    }

    async fn ask(&self, method: &str, params: &str) -> [Value; 2] {
        let legacy = self.session.request(method, params).await;
        [legacy, self.client.modern(method, params).await]
    }

    async fn call(&self, name: &str, arguments: &str) -> [Value; 2] {
        let params = format!(r#"{{"name":"{name}","arguments":{arguments}}}"#);
        self.ask("tools/call", &params).await
    }
}

fn names(answer: &Value) -> Vec<&str> {
    let tools = answer["result"]["tools"].as_array().unwrap();
    tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn clients_see_the_changed_definition() {
    for kind in KINDS {
        let stage = Stage::with(kind, &[tools()], changed).await;
        let clients = Both::of(&stage).await;
        for answer in clients.ask("tools/list", "{}").await {
            assert_eq!(names(&answer), ["find", "echo-b", "raw"], "{kind:?}");
            let tool = &answer["result"]["tools"][0];
            assert_eq!(tool["description"], "Finds \"it\".\n");
            assert_eq!(
                (&tool["title"], &tool["annotations"]["title"]),
                (&json!("Find"), &json!("Find"))
            );
            assert_eq!(tool["annotations"]["readOnlyHint"], true);
            let schema = &tool["inputSchema"];
            assert_eq!(
                schema["properties"],
                json!({"q": {"type": "string"}}),
                "{kind:?}"
            );
            assert_eq!(schema["required"], json!(["q"]), "{kind:?}");
            assert_eq!(schema["additionalProperties"], false);
            assert!(tool.get("outputSchema").is_some());
            assert_eq!(
                answer["result"]["tools"][1]["inputSchema"],
                json!({"type": "object"})
            );
        }
        let mut listed = stage
            .gateway
            .session()
            .await
            .request_raw("1", "tools/list", "{}")
            .await;
        let listed = String::from_utf8(listed.message().await.to_vec()).unwrap();
        let kept = r#","x-unknown":123456789012345678901234567890,"title":"Find","description":"Finds \"it\".\n","inputSchema":{"type":"object","x":1.50e+1,"properties":{"q":{"type":"string"}},"required":["q"],"additionalProperties":false},"#;
        assert!(listed.contains(kept), "{kind:?}: {listed}");
    }
}

#[tokio::test]
async fn servers_receive_the_own_name_and_the_fixed_arguments() {
    const FIXED: &str = r#""repo":{"a": [1,"é"]},"limit":123456789012345678901234567890"#;
    for kind in KINDS {
        let stage = Stage::with(kind, &[tools()], changed).await;
        let clients = Both::of(&stage).await;
        let echoed = |answer: &Value| answer["result"]["echo"].clone();
        for (arguments, rest) in [
            ("{}", ""),
            ("{ }", " "),
            (r#"{"q":"x\u00e9","n":[1]}"#, r#","q":"x\u00e9","n":[1]"#),
            ("null", ""),
        ] {
            for answer in clients.call("find", arguments).await {
                let sent: Value = serde_json::from_str(&format!("{{{FIXED}{rest}}}")).unwrap();
                assert_eq!(echoed(&answer), sent, "{kind:?} {arguments}: {answer}");
            }
        }
        for params in [
            r#"{"name":"find"}"#,
            r#"{"na\u006de":"fi\u006ed"}"#,
            r#"{"_meta":{"x":1}, "name" : "find"}"#,
        ] {
            let answer = clients.session.request("tools/call", params).await;
            assert_eq!(
                echoed(&answer)["repo"]["a"][1],
                "é",
                "{kind:?} {params}: {answer}"
            );
        }
        // A tool without a change gets exactly what the client sent.
        for answer in clients.call("echo-b", r#"{"repo":1}"#).await {
            assert_eq!(echoed(&answer), json!({"repo": 1}), "{kind:?}");
        }
        let own = clients.call("echo-a", "{}").await;
        assert!(
            own.iter().all(|answer| answer["error"]["code"] == -32602),
            "{own:?}"
        );
        if let (_, Over::Http) = kind {
            let calls = stage.upstream("git").received_of("tools/call");
            let body = String::from_utf8(calls[2 * 2].body.to_vec()).unwrap();
            let wanted = format!(r#""arguments":{{{FIXED},"q":"x\u00e9","n":[1]}}"#);
            assert!(
                body.contains(&wanted) && body.contains(r#""echo-a""#),
                "{body}"
            );
            let named = calls.iter().flat_map(|call| &call.headers);
            let named = named.filter(|(name, _)| name == "mcp-name");
            assert!(named.clone().all(|(_, value)| value.starts_with("echo-")));
            assert!(kind.0 == "legacy" || named.count() > 0);
        }
    }
}

#[tokio::test]
async fn hidden_arguments_are_refused_by_name() {
    let stage = Stage::with(KINDS[0], &[tools()], changed).await;
    let clients = Both::of(&stage).await;
    for arguments in [
        r#"{"repo":1}"#,
        r#"{"q":"x","Repo":null}"#,
        r#"{"r\u0065po":"a","q":1}"#,
        r#"{"repo":1,"repo":2}"#,
        r#"{"REPO\u0000":1}"#,
    ] {
        for answer in clients.call("find", arguments).await {
            let error = &answer["error"];
            let text = error["message"].as_str().unwrap_or_default();
            assert_eq!(error["code"], -32602, "{arguments}: {answer}");
            assert!(
                text.contains("params.arguments.repo"),
                "{arguments}: {text}"
            );
        }
    }
    for arguments in ["[]", "1", "\"x\"", "false"] {
        for answer in clients.call("find", arguments).await {
            assert_eq!(answer["error"]["code"], -32602, "{arguments}: {answer}");
        }
    }
    let nested = clients.call("find", r#"{"q":{"repo":1}}"#).await;
    assert!(
        nested
            .iter()
            .all(|answer| answer["result"]["echo"]["q"]["repo"] == 1),
        "{nested:?}"
    );
    let stats = clients.session.tool("stats", "{}").await;
    assert_eq!(
        stats["result"]["calls"], 3,
        "refused calls do not reach the server: {stats}"
    );
}

#[tokio::test]
async fn merged_lists_and_pages_use_the_new_names() {
    let many: Vec<String> = (0..2300)
        .map(|n| format!(r#"{{"name":"echo-t{n}","inputSchema":{{"type":"object"}}}}"#))
        .collect();
    let many = format!("\"tools\":[{}]", many.join(","));
    for (names, find, own, other) in [
        (
            ToolNames::Prefixed,
            "git__find",
            "git__echo-a",
            "two__echo-a",
        ),
        (ToolNames::Bare, "find", "echo-a", "echo-a"),
    ] {
        let servers = [
            tools(),
            server("two").answer("tools/list", TOOLS),
            server("many").answer("tools/list", &many),
        ];
        let change = |builder: Builder| {
            builder
                .names(names)
                .overrides("git", changes())
                .overrides("many", renamed("echo-t2299", "last"))
        };
        let stage = Stage::with(KINDS[2], &servers, change).await;
        let clients = Both::of(&stage).await;
        let all = clients.session.tools().await;
        let last = if names == ToolNames::Bare {
            "last"
        } else {
            "many__last"
        };
        assert!(all.contains(&find.to_owned()) && all.contains(&other.to_owned()));
        assert!(all.contains(&last.to_owned()) && !all.iter().any(|name| name.ends_with("t2299")));
        for answer in clients.call(find, "{}").await {
            assert!(answer["result"]["echo"]["repo"].is_object(), "{answer}");
        }
        for answer in clients.call(other, r#"{"repo":1}"#).await {
            assert_eq!(
                answer["result"]["echo"]["repo"], 1,
                "the other server's: {answer}"
            );
        }
        if own != other {
            for answer in clients.call(own, "{}").await {
                assert_eq!(answer["error"]["code"], -32602, "{answer}");
            }
        }
        for answer in clients.call(last, "{}").await {
            assert_eq!(answer["result"]["echo"], json!({}), "{answer}");
        }
    }
}

#[tokio::test]
async fn argument_in_a_header_carries_the_fixed_value() {
    let list = r#""tools":[{"name":"echo-h","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"q":{"type":"string","x-mcp-header":"Q"},"deep":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"Deep"}}}}}}]"#;
    let change = ToolOverride {
        name: Some("h".into()),
        arguments: FixedArguments::default()
            .with("region", &raw("\"eu é\""))
            .with("deep", &raw(r#"{"n":7}"#)),
        ..ToolOverride::default()
    };
    let overrides = ToolOverrides::new([("echo-h", change)]).unwrap();
    let servers = [server("git").answer("tools/list", list)];
    let change = |builder: Builder| builder.overrides("git", overrides);
    let stage = Stage::with(KINDS[3], &servers, change).await;
    let session = stage.gateway.session().await;
    let tools = session.request("tools/list", "{}").await;
    let shown = tools["result"]["tools"][0].to_string();
    assert!(
        !shown.contains("Region") && !shown.contains("Deep") && shown.contains("\"Q\""),
        "{shown}"
    );
    session.tool("h", r#"{"q":"a"}"#).await;
    let client = stage.gateway.client("ann");
    let params = r#"{"name":"h","arguments":{"q":"a"}}"#;
    let mut answer = client
        .modern_with("1", "tools/call", params, "", &[("mcp-param-q", "a")])
        .await;
    let answer: Value = serde_json::from_slice(&answer.message().await).unwrap();
    assert_eq!(answer["result"]["echo"]["deep"]["n"], 7, "{answer}");
    let calls = stage.upstream("git").received_of("tools/call");
    assert_eq!(calls.len(), 2);
    for call in calls {
        let header = |wanted: &str| {
            let mut found = call.headers.iter().filter(|(name, _)| name == wanted);
            (found.next().map(|(_, value)| value.clone()), found.count())
        };
        assert_eq!(
            header("mcp-param-deep"),
            (Some("7".into()), 0),
            "{:?}",
            call.headers
        );
        assert_eq!(header("mcp-param-q"), (Some("a".into()), 0));
        assert_eq!(
            header("mcp-param-region"),
            (Some("=?base64?ZXUgw6k=?=".into()), 0)
        );
    }
    // A client that sends the header of a hidden argument is told so.
    let headers = [("mcp-param-q", "a"), ("mcp-param-region", "us")];
    let mut answer = client
        .modern_with("2", "tools/call", params, "", &headers)
        .await;
    let answer: Value = serde_json::from_slice(&answer.message().await).unwrap();
    assert_eq!(answer["error"]["code"], -32020, "{answer}");
}
