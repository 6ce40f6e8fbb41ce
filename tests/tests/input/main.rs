//! Requests of servers that cross the eras: a legacy server asks a modern client, and a modern server a legacy one.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its tasks end with its runtime"
)]

mod legacy_client;
mod many;
mod modern_client;
mod request_state;
mod tasks;
mod url_mode;

use mcp_orchestrator_core::server::{EraChoice, Isolation, ServerSpec};
use mcp_orchestrator_tests::client::{Client, json};
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::scripted::{Script, Upstream, scripted};
use serde_json::{Value, json};

/// All capabilities that a server can ask for.
fn all() -> Value {
    json!({
        "sampling": { "tools": {} }, "elicitation": { "form": {}, "url": {} }, "roots": {},
    })
}

/// Three requests, one of each kind.
fn three() -> Value {
    json!({
        "who": { "method": "elicitation/create", "params": { "message": "who?", "n": 1 } },
        "text": { "method": "sampling/createMessage", "params": { "messages": [], "maxTokens": 5 } },
        "where": { "method": "roots/list" },
    })
}

fn own(mut spec: ServerSpec) -> ServerSpec {
    spec.isolation = Isolation::Principal;
    spec
}

/// Gateways in front of a server of this era: a child process of its principal, and an HTTP server.
async fn gateways(is_modern: bool) -> (Vec<(&'static str, Gateway)>, Upstream) {
    let era = if is_modern { "modern" } else { "legacy" };
    let mut pipe = own(scripted("x", &["--era", era, "--tasks"]));
    let script = Script {
        modern: is_modern,
        legacy: !is_modern,
        tasks: true,
        ..Script::default()
    };
    let http = Upstream::start(script).await;
    let mut remote = http.spec("x");
    if is_modern {
        pipe.era = EraChoice::Modern;
        remote.era = EraChoice::Modern;
    }
    let gateways = vec![
        ("pipe", Gateway::new().server(pipe).run().await),
        ("http", Gateway::new().server(remote).run().await),
    ];
    (gateways, http)
}

/// A modern client with these capabilities that makes one call.
struct ModernCall<'a> {
    client: &'a Client,
    capabilities: Value,
    method: &'a str,
    params: Value,
}

impl<'a> ModernCall<'a> {
    fn tool(client: &'a Client, name: &str, arguments: Value) -> Self {
        let mut params = json!({ "name": name });
        params["arguments"] = arguments;
        Self {
            client,
            capabilities: all(),
            method: "tools/call",
            params,
        }
    }

    /// Sends the call with more parameters. Returns the messages before the response, and the response.
    async fn messages(&self, id: &str, more: Value) -> (Vec<Value>, Value) {
        let mut params = self.params.clone();
        let members = params.as_object_mut().unwrap();
        members.extend(more.as_object().unwrap().clone());
        let mut meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": { "name": "raw", "version": "1" },
            "io.modelcontextprotocol/clientCapabilities": self.capabilities,
        });
        if let Some(token) = members.remove("token") {
            meta["progressToken"] = token;
        }
        members.insert("_meta".to_owned(), meta);
        let name = members.get("name").or_else(|| members.get("uri"));
        let name = name.unwrap().as_str().unwrap().to_owned();
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": self.method, "params": params });
        let headers = [
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", self.method),
            ("mcp-name", &*name),
        ];
        let body = body.to_string();
        let mut response = self.client.send("POST", &headers, body.as_bytes()).await;
        if !response.is_stream() {
            return (Vec::new(), json(&response.message().await));
        }
        let mut before = Vec::new();
        loop {
            let message = response.event().await.unwrap().json();
            if message.get("method").is_none() {
                return (before, message);
            }
            before.push(message);
        }
    }

    async fn send(&self, id: &str, more: Value) -> Value {
        self.messages(id, more).await.1
    }

    /// Answers the requests of this response.
    async fn answer(&self, id: &str, asked: &Value, answer: impl Fn(&Value) -> Value) -> Value {
        self.send(id, answers(asked, answer)).await
    }

    /// Calls, and answers until the result is complete. Returns it and the number of rounds.
    async fn to_the_end(&self, answer: impl Fn(&Value) -> Value) -> (Value, usize) {
        let mut response = self.send("call-0", json!({})).await;
        let mut rounds = 0;
        while response["result"]["resultType"] == "input_required" {
            rounds += 1;
            response = self
                .answer(&format!("call-{rounds}"), &response, &answer)
                .await;
        }
        (response, rounds)
    }
}

/// Returns the parameters that answer all requests of this response.
fn answers(asked: &Value, answer: impl Fn(&Value) -> Value) -> Value {
    let requests = asked["result"]["inputRequests"].as_object().unwrap();
    let answers: serde_json::Map<_, _> = requests
        .iter()
        .map(|(key, request)| (key.clone(), answer(request)))
        .collect();
    json!({ "requestState": asked["result"]["requestState"], "inputResponses": answers })
}

/// A client that answers each request in the usual way.
fn usual(request: &Value) -> Value {
    match request["method"].as_str().unwrap() {
        "elicitation/create" => json!({ "action": "accept", "content": { "name": "ü" } }),
        "sampling/createMessage" => json!({
            "role": "assistant", "model": "m", "content": { "type": "text", "text": "Paris" },
        }),
        "roots/list" => json!({ "roots": [{ "uri": "file:///a" }] }),
        other => panic!("{other}"),
    }
}
