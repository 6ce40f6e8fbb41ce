//! What the first client of a server is told, and how lists are answered that no server has.

use std::time::Duration;

use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::lister::{Answer, Lister};
use mcp_orchestrator_tests::scripted::scripted;
use serde_json::{Value, json};

async fn saying(capabilities: Value) -> Lister {
    Lister::start(move |asked| {
        if !asked.is("initialize") {
            return Answer::Usual;
        }
        Answer::result(&json!({
            "protocolVersion": "2025-11-25", "capabilities": capabilities,
            "serverInfo": { "name": "x", "version": "1" }, "instructions": "Use t for everything.",
        }))
    })
    .await
}

#[tokio::test]
async fn the_first_client_of_a_server_is_told_its_instructions() {
    let server = saying(json!({ "tools": {} })).await;
    let gateway = Gateway::new().server(server.spec("x")).run().await;
    let first = gateway.session().await;
    assert_eq!(
        first.hello["result"]["instructions"],
        "Use t for everything."
    );
    let other = saying(json!({ "tools": {} })).await;
    let gateway = Gateway::new().server(other.spec("x")).run().await;
    let modern = gateway.client("ann").modern("server/discover", "{}").await;
    assert_eq!(modern["result"]["instructions"], "Use t for everything.");
}

#[tokio::test]
async fn a_server_that_does_not_start_keeps_the_first_client_waiting_once() {
    let mut mute = scripted("mute", &["--mute"]);
    mute.limits.start_timeout = Duration::from_mins(5);
    let server = saying(json!({ "tools": {} })).await;
    let gateway = Gateway::new()
        .server(mute)
        .server(server.spec("x"))
        .run()
        .await;
    let first = gateway.session().await;
    let text = first.hello["result"]["instructions"].to_string();
    assert!(text.contains("Use t for everything."), "{text}");
    // More than a test waits, were each of them to wait.
    for _ in 0..20 {
        gateway.session().await;
    }
}

#[tokio::test]
async fn lists_that_no_server_has_are_answered_as_the_server_would() {
    let server = saying(json!({ "tools": {} })).await;
    let gateway = Gateway::new().server(server.spec("x")).run().await;
    let session = gateway.session().await;
    let declared = &session.hello["result"]["capabilities"];
    assert!(
        declared["prompts"].is_null() && declared["resources"].is_null(),
        "{declared}"
    );
    for method in ["prompts/list", "resources/list", "resources/templates/list"] {
        let answer = session.request(method, "{}").await;
        assert_eq!(answer["error"]["code"], -32601, "{answer}");
        let answer = gateway.client("bob").modern(method, "{}").await;
        assert_eq!(answer["error"]["code"], -32601, "{answer}");
    }
    assert_eq!(session.tools().await, ["t"]);
    // One server that has them is enough.
    let gateway = Gateway::new()
        .server(server.spec("x"))
        .server(scripted("y", &[]))
        .run()
        .await;
    let answer = gateway.session().await.request("prompts/list", "{}").await;
    assert!(answer["result"]["prompts"].is_array(), "{answer}");
}
