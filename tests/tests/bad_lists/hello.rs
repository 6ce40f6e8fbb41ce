//! The `initialize` result for the first client of a server, and lists that no server supports.

use std::time::Duration;

use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::lister::{Answer, Lister, tools};
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
async fn the_first_client_of_a_server_receives_its_instructions() {
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
async fn failing_server_delays_only_the_first_client() {
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
    // In sequence, the waits would exceed the time limit of a test.
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
    // One server with these lists is enough.
    let gateway = Gateway::new()
        .server(server.spec("x"))
        .server(scripted("y", &[]))
        .run()
        .await;
    let answer = gateway.session().await.request("prompts/list", "{}").await;
    assert!(answer["result"]["prompts"].is_array(), "{answer}");
}

#[tokio::test]
async fn declared_but_unimplemented_list_gets_the_servers_error() {
    const SIDE: [&str; 3] = ["prompts/list", "resources/list", "resources/templates/list"];
    for lacking in SIDE {
        let server = Lister::start(move |asked| {
            if asked.is(lacking) {
                Answer::Error(-32601)
            } else {
                Answer::Usual
            }
        })
        .await;
        let gateway = Gateway::new().server(server.spec("x")).run().await;
        let session = gateway.session().await;
        for method in SIDE {
            let answer = session.request(method, "{}").await;
            let modern = gateway.client("bob").modern(method, "{}").await;
            for answer in [answer, modern] {
                let code = answer["error"]["code"].as_i64();
                let expected = (method == lacking).then_some(-32601);
                assert_eq!(
                    code, expected,
                    "{method} of one without {lacking}: {answer}"
                );
            }
        }
        assert_eq!(session.tools().await, ["t"]);
        // With another server that has the list, the server without it is left out.
        let other = Lister::start(|_| Answer::Usual).await;
        let gateway = Gateway::new()
            .server(server.spec("x"))
            .server(other.spec("y"))
            .run()
            .await;
        let answer = gateway.session().await.request(lacking, "{}").await;
        assert!(answer["result"].is_object(), "{lacking}: {answer}");
    }
}

/// A server that lists a tool only to clients with this capability.
async fn gated(by: &'static str) -> Lister {
    let able = std::sync::atomic::AtomicBool::new(false);
    Lister::start(move |asked| {
        let own = &asked.params["_meta"]["io.modelcontextprotocol/clientCapabilities"];
        let now = own[by].is_object() || asked.params["capabilities"][by].is_object();
        if asked.is("initialize") {
            able.store(now, std::sync::atomic::Ordering::Relaxed);
        }
        let is_able = now || able.load(std::sync::atomic::Ordering::Relaxed);
        match asked.method.as_str() {
            "tools/list" if is_able => Answer::result(&tools(&["t", "asks"])),
            _ => Answer::Usual,
        }
    })
    .await
}

#[tokio::test]
async fn tools_that_a_server_lists_to_able_clients_are_listed() {
    const ALL: &str = r#"{"sampling":{},"elicitation":{},"roots":{}}"#;
    for by in ["sampling", "elicitation", "roots"] {
        let server = gated(by).await;
        let gateway = Gateway::new().server(server.spec("x")).run().await;
        let session = gateway.client("ann").session_with(ALL).await;
        assert_eq!(session.tools().await, ["t", "asks"], "{by}");
        let modern = gateway.client("bob").modern("tools/list", "{}").await;
        assert_eq!(modern["result"]["tools"][1]["name"], "asks", "{modern}");
    }
}

#[tokio::test]
async fn tools_that_a_modern_server_lists_to_able_clients_are_listed() {
    let server = Lister::start(|asked| {
        let able = &asked.params["_meta"]["io.modelcontextprotocol/clientCapabilities"];
        match asked.method.as_str() {
            "initialize" => Answer::Error(-32601),
            "server/discover" => Answer::result(&json!({
                "resultType": "complete", "supportedVersions": ["2026-07-28"],
                "capabilities": { "tools": {} }, "ttlMs": 0, "cacheScope": "private",
            })),
            "tools/list" if able["elicitation"].is_object() => Answer::result(&tools(&["asks"])),
            _ => Answer::Usual,
        }
    })
    .await;
    let gateway = Gateway::new().server(server.spec("x")).run().await;
    assert_eq!(gateway.session().await.tools().await, ["asks"]);
}
