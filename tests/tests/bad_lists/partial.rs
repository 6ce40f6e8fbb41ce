//! A list that fails does not affect the others.

use std::time::Duration;

use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::lister::{Answer, Lister, tools};
use mcp_orchestrator_tests::wait::within;
use serde_json::json;

#[tokio::test]
async fn rejected_list_does_not_affect_the_others() {
    const SIDE: [&str; 3] = ["prompts/list", "resources/list", "resources/templates/list"];
    for side in SIDE {
        for code in [-32603, -32602, -32000, -32601, 1] {
            let server = Lister::start(move |asked| {
                if asked.is(side) {
                    Answer::Error(code)
                } else {
                    Answer::Usual
                }
            })
            .await;
            let gateway = Gateway::new().server(server.spec("x")).run().await;
            let session = gateway.session().await;
            assert_eq!(session.tools().await, ["t"], "{side} {code}");
        }
    }
}

#[tokio::test]
async fn unanswered_list_does_not_delay_the_others() {
    for silent in ["prompts/list", "resources/list", "resources/templates/list"] {
        let server = Lister::start(move |asked| {
            if asked.is(silent) {
                Answer::Silence
            } else {
                Answer::Usual
            }
        })
        .await;
        let mut spec = server.spec("x");
        // Longer than a test may take: nothing may wait for it.
        spec.limits.list_timeout = Duration::from_mins(5);
        spec.limits.call_timeout = Duration::from_mins(5);
        let gateway = Gateway::new().server(spec).run().await;
        let session = gateway.session().await;
        assert_eq!(session.tools().await, ["t"], "{silent}");
        let called = session.tool("t", "{}").await;
        assert_eq!(called["result"]["content"][0]["text"], "called", "{called}");
    }
}

#[tokio::test]
async fn unanswered_tool_list_does_not_delay_prompts() {
    let server = Lister::start(|asked| match &asked.method[..] {
        "tools/list" => Answer::Silence,
        "prompts/list" => Answer::result(&json!({ "prompts": [{ "name": "p" }] })),
        _ => Answer::Usual,
    })
    .await;
    let mut spec = server.spec("x");
    spec.limits.list_timeout = Duration::from_mins(5);
    let gateway = Gateway::new().server(spec).run().await;
    let session = gateway.session().await;
    let prompts = session.request("prompts/list", "{}").await;
    assert_eq!(prompts["result"]["prompts"][0]["name"], "p", "{prompts}");
}

#[tokio::test]
async fn failed_list_is_fetched_again() {
    let server = Lister::start(|asked| {
        if asked.is("tools/list") && asked.before < 2 {
            Answer::Error(-32603)
        } else {
            Answer::Usual
        }
    })
    .await;
    let gateway = Gateway::new().server(server.spec("x")).run().await;
    let session = gateway.session().await;
    within("the tools", async {
        while session.tools().await != ["t"] {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn failed_refresh_keeps_the_known_list() {
    let server = Lister::start(|asked| match (&asked.method[..], asked.before) {
        ("tools/list", 0) => Answer::Changed(tools(&["a", "b"]).to_string()),
        ("tools/list", 1) => Answer::Error(-32603),
        ("tools/list", _) => Answer::result(&tools(&["a", "c"])),
        _ => Answer::Usual,
    })
    .await;
    let gateway = Gateway::new().server(server.spec("x")).run().await;
    let session = gateway.session().await;
    within("the second list", async {
        loop {
            let tools = session.tools().await;
            if tools == ["a", "c"] {
                break;
            }
            assert_eq!(tools, ["a", "b"]);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn tools_are_listed_without_a_declared_capability() {
    for capabilities in [json!({}), json!(null), json!({ "logging": {} })] {
        let server = Lister::start(move |asked| match &asked.method[..] {
            "initialize" => Answer::result(&json!({
                "protocolVersion": "2025-11-25", "capabilities": capabilities,
                "serverInfo": { "name": "x", "version": "1" },
            })),
            _ => Answer::Usual,
        })
        .await;
        let gateway = Gateway::new().server(server.spec("x")).run().await;
        assert_eq!(gateway.session().await.tools().await, ["t"]);
        let session = gateway.session().await;
        let declared = &session.hello["result"]["capabilities"];
        assert!(declared["tools"].is_object(), "{declared}");
        assert_eq!(server.count("prompts/list"), 0);
    }
}
