//! A legacy server sends a request to a modern client, through the result of its call.

use mcp_orchestrator_core::server::{Isolation, ServerSpec};
use mcp_orchestrator_tests::client::{Client, json};
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::scripted::{Script, SseUpstream, Upstream, scripted};
use mcp_orchestrator_tests::wait::{is_alive, until};
use serde_json::{Value, json};

const METHODS: [&str; 3] = ["elicitation/create", "sampling/createMessage", "roots/list"];

fn all() -> Value {
    json!({ "sampling": {}, "elicitation": {}, "roots": {} })
}

/// A modern client that declares these capabilities and calls the tool `ask`.
struct AskingClient<'a> {
    client: &'a Client,
    capabilities: Value,
    tool: String,
    method: &'a str,
}

impl AskingClient<'_> {
    /// Calls the tool with additional parameters.
    async fn call(&self, id: &str, more: Value) -> Value {
        let mut params = json!({
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": { "name": "raw", "version": "1" },
                "io.modelcontextprotocol/clientCapabilities": self.capabilities,
            },
            "name": self.tool,
            "arguments": { "method": self.method, "value": { "x": 1 } },
        });
        let members = params.as_object_mut().unwrap();
        members.extend(more.as_object().unwrap().clone());
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params });
        let headers = [
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/call"),
            ("mcp-name", &*self.tool),
        ];
        let body = body.to_string();
        let mut response = self.client.send("POST", &headers, body.as_bytes()).await;
        json(&response.message().await)
    }

    async fn answer(&self, id: &str, question: &Value, said: &Value) -> Value {
        let state = &question["result"]["requestState"];
        let more = json!({ "requestState": state, "inputResponses": { "ask": said } });
        self.call(id, more).await
    }
}

fn own(mut spec: ServerSpec) -> ServerSpec {
    spec.isolation = Isolation::Principal;
    spec
}

/// Sends a request with each method, and answers it.
async fn cross(gateway: &Gateway, server: &str, tool: &str) {
    let ann = gateway.client("ann");
    for method in METHODS {
        let asked = AskingClient {
            client: &ann,
            capabilities: all(),
            tool: tool.to_owned(),
            method,
        };
        let question = asked.call("first", json!({})).await;
        let result = &question["result"];
        assert_eq!(question["id"], "first", "{server} {question}");
        assert_eq!(
            result["resultType"], "input_required",
            "{server} {question}"
        );
        let request = &result["inputRequests"]["ask"];
        assert_eq!(*request, json!({ "method": method, "params": { "x": 1 } }));
        let said = json!({ "action": "accept", "content": { "big": 1, "t": "ü" } });
        let answer = asked.answer("second", &question, &said).await;
        assert_eq!(answer["id"], "second", "{server} {answer}");
        assert_eq!(answer["result"]["resultType"], "complete", "{answer}");
        assert_eq!(answer["result"]["answer"]["result"], said, "{answer}");
    }
}

#[tokio::test]
async fn legacy_server_request_reaches_a_modern_client_in_the_call_result() {
    let http = Upstream::start(Script::default()).await;
    let gateway = Gateway::new()
        .server(own(scripted("pipe", &["--era", "legacy"])))
        .server(http.spec("http"))
        .run()
        .await;
    cross(&gateway, "pipe", "pipe__ask").await;
    cross(&gateway, "http", "http__ask").await;
    assert!(http.server.cancelled().is_empty());
}

#[tokio::test]
async fn sse_server_request_reaches_a_modern_client_of_a_single_server_gateway() {
    let sse = SseUpstream::start().await;
    let gateway = Gateway::new()
        .server(sse.spec("x"))
        .single_principal()
        .run()
        .await;
    cross(&gateway, "sse", "ask").await;
}

#[tokio::test]
async fn modern_client_gets_only_requests_of_declared_capabilities() {
    let http = Upstream::start(Script::default()).await;
    let gateway = Gateway::new()
        .server(own(scripted("pipe", &["--era", "legacy"])))
        .server(http.spec("http"))
        .run()
        .await;
    let ann = gateway.client("ann");
    for server in ["pipe", "http"] {
        for (method, capabilities) in [
            ("elicitation/create", json!({ "sampling": {}, "roots": {} })),
            ("sampling/createMessage", json!({ "elicitation": {} })),
            ("roots/list", json!({})),
        ] {
            let asked = AskingClient {
                client: &ann,
                capabilities,
                tool: format!("{server}__ask"),
                method,
            };
            let answer = asked.call("1", json!({})).await;
            let error = &answer["result"]["answer"]["error"];
            assert_eq!(error["code"], -32601, "{server} {method}: {answer}");
            assert_eq!(error["message"], "Method not found", "{answer}");
        }
    }
}

#[tokio::test]
async fn a_question_is_answered_once_and_by_the_principal_that_was_asked() {
    let http = Upstream::start(Script::default()).await;
    let gateway = Gateway::new().server(http.spec("http")).run().await;
    let (ann, bob) = (gateway.client("ann"), gateway.client("bob"));
    let of = |client| AskingClient {
        client,
        capabilities: all(),
        tool: "ask".into(),
        method: METHODS[0],
    };
    let (own, other) = (of(&ann), of(&bob));
    let question = own.call("1", json!({})).await;
    let said = json!({ "by": "bob" });
    // For another principal the state is an opaque server state: the call is made again.
    let stolen = other.answer("2", &question, &said).await;
    assert_eq!(stolen["result"]["resultType"], "input_required", "{stolen}");
    // Without an answer the request stays open.
    let state = &question["result"]["requestState"];
    let empty = own.call("3", json!({ "requestState": state })).await;
    assert_eq!(empty["error"]["code"], -32602, "{empty}");
    let answer = own.answer("4", &question, &json!({ "by": "ann" })).await;
    assert_eq!(
        answer["result"]["answer"]["result"]["by"], "ann",
        "{answer}"
    );
    let again = own.answer("5", &question, &said).await;
    assert_eq!(again["error"]["code"], -32602, "{again}");
}

#[tokio::test]
async fn questions_of_one_principal_are_bounded() {
    const MOST: usize = 16;
    let http = Upstream::start(Script::default()).await;
    let gateway = Gateway::new().server(http.spec("http")).run().await;
    let ann = gateway.client("ann");
    let asked = AskingClient {
        client: &ann,
        capabilities: all(),
        tool: "ask".into(),
        method: METHODS[0],
    };
    let mut questions = Vec::new();
    for _ in 0..MOST {
        let question = asked.call("1", json!({})).await;
        assert_eq!(question["result"]["resultType"], "input_required");
        questions.push(question);
    }
    let refused = asked.call("1", json!({})).await;
    let code = &refused["result"]["answer"]["error"]["code"];
    assert_eq!(*code, -32601, "{refused}");
    let said = json!({ "said": "yes" });
    let answer = asked.answer("2", &questions[0], &said).await;
    assert_eq!(answer["result"]["answer"]["result"], said, "{answer}");
    let question = asked.call("3", json!({})).await;
    assert_eq!(
        question["result"]["resultType"], "input_required",
        "{question}"
    );
}

#[tokio::test]
async fn open_question_does_not_outlive_the_orchestrator() {
    let gateway = Gateway::new()
        .server(own(scripted("pipe", &["--era", "legacy"])))
        .run()
        .await;
    let ann = gateway.client("ann");
    let asked = AskingClient {
        client: &ann,
        capabilities: all(),
        tool: "ask".to_owned(),
        method: METHODS[0],
    };
    let question = asked.call("first", json!({})).await;
    assert_eq!(question["result"]["resultType"], "input_required");
    let pid = gateway.pids().await[0];
    drop(gateway);
    until("the child to be gone", || !is_alive(pid)).await;
}
