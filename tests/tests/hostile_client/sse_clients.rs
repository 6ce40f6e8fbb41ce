//! Clients of the HTTP+SSE transport (2024-11-05): a stream, and an address for messages that only its opener may use.

use mcp_orchestrator_tests::client::{Client, Response};
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::scripted::scripted;
use mcp_orchestrator_tests::wait::within;
use serde_json::{Value, json};

use crate::site::Known;

/// An HTTP+SSE client.
pub(crate) struct SseClient {
    client: Client,
    pub(crate) stream: Response,
    pub(crate) messages: String,
}

impl SseClient {
    pub(crate) async fn open(client: Client, path: &str) -> Self {
        let mut stream = client.clone().at(path).send("GET", &[], b"").await;
        assert!(stream.is_stream(), "{}", stream.status);
        let event = stream.event().await.unwrap();
        let messages = String::from_utf8(event.data.to_vec()).unwrap();
        assert!(messages.starts_with("/messages/"), "{messages}");
        Self {
            client,
            stream,
            messages,
        }
    }

    /// Sends further messages with another client's credentials.
    pub(crate) fn sends_as(&mut self, client: Client) {
        self.client = client;
    }

    pub(crate) async fn post(&self, message: &Value) -> u16 {
        let client = self.client.clone().at(&self.messages);
        client
            .send("POST", &[], message.to_string().as_bytes())
            .await
            .status
    }

    /// Returns the next matching message of the stream.
    pub(crate) async fn until(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        within("a message of the stream", async {
            loop {
                let message = self
                    .stream
                    .event()
                    .await
                    .expect("the stream goes on")
                    .json();
                if fits(&message) {
                    return message;
                }
            }
        })
        .await
    }

    pub(crate) async fn ask(&mut self, id: u64, method: &str, params: Value) -> Value {
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        assert_eq!(self.post(&request).await, 202);
        self.until(|message| message["id"] == id).await
    }

    pub(crate) async fn begin(&mut self) -> Value {
        let params = json!({
            "protocolVersion": "2024-11-05",
            "capabilities": {},
            "clientInfo": { "name": "raw", "version": "1" },
        });
        let hello = self.ask(0, "initialize", params).await;
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        assert_eq!(self.post(&initialized).await, 202);
        hello
    }
}

async fn gateway() -> Gateway {
    Gateway::new().server(scripted("a", &[])).run().await
}

#[tokio::test]
async fn responses_progress_and_changes_arrive_on_the_stream() {
    let gateway = gateway().await;
    for path in ["/sse", "/sse/", "/sse/default"] {
        let mut client = SseClient::open(gateway.client("ann"), path).await;
        let hello = client.begin().await;
        assert_eq!(hello["result"]["protocolVersion"], "2024-11-05", "{hello}");
        let tools = client.ask(1, "tools/list", json!({})).await;
        assert!(tools["result"]["tools"].is_array(), "{tools}");
        let call = json!({ "name": "progress", "arguments": { "n": 2 }, "_meta": { "progressToken": "p" } });
        let call = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call });
        assert_eq!(client.post(&call).await, 202);
        client
            .until(|message| message["method"] == "notifications/progress")
            .await;
        let answer = client.until(|message| message["id"] == 2).await;
        assert!(answer["result"].is_object(), "{answer}");
        let failed = client
            .ask(3, "tools/call", json!({ "name": "no-such-tool" }))
            .await;
        assert!(failed["error"]["code"].is_number(), "{failed}");
    }
    let mut client = SseClient::open(gateway.client("ann"), "/sse").await;
    client.begin().await;
    client.ask(1, "tools/list", json!({})).await;
    gateway.apply(vec![scripted("b", &[])]);
    client
        .until(|message| message["method"] == "notifications/tools/list_changed")
        .await;
}

#[tokio::test]
async fn stream_belongs_to_the_user_that_opened_it() {
    let gateway = gateway().await;
    let mut ann = SseClient::open(gateway.client("ann"), "/sse").await;
    ann.begin().await;
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }).to_string();
    let send = |user: &str, path: &str| {
        let client = gateway.client(user).at(path);
        let ping = ping.clone();
        async move { client.send("POST", &[], ping.as_bytes()).await.status }
    };
    assert_eq!(send("bob", &ann.messages).await, 404);
    assert_eq!(send("ann", "/messages/none").await, 404);
    assert_eq!(send("", &ann.messages).await, 401);
    assert_eq!(send("ann", &ann.messages).await, 202);
    let sse = |user: &str, method: &'static str, path: &str| {
        let client = gateway.client(user).at(path);
        async move { client.send(method, &[], b"{}").await.status }
    };
    assert_eq!(sse("", "GET", "/sse").await, 401);
    assert_eq!(sse("ann", "POST", "/sse").await, 405);
    assert_eq!(sse("ann", "GET", "/sse/none").await, 404);
    assert_eq!(sse("ann", "GET", &ann.messages).await, 405);
}

#[tokio::test]
async fn disconnect_cancels_calls_and_ends_the_session() {
    let gateway = gateway().await;
    let mut client = SseClient::open(gateway.client("ann"), "/sse").await;
    client.begin().await;
    let hang =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "hang" } });
    assert_eq!(client.post(&hang).await, 202);
    let messages = client.messages.clone();
    drop(client);
    let again = gateway.client("ann").at(&messages);
    within("the end of the stream", async {
        while again
            .send("POST", &[], hang.to_string().as_bytes())
            .await
            .status
            != 404
        {}
    })
    .await;
}

#[tokio::test]
async fn streams_per_principal_are_bounded_and_end_with_their_token() {
    let site = Known::new().await;
    let (bob, info) = site.client("user/bob", None).await;
    let mut open = Vec::new();
    let refused = loop {
        let answer = bob.clone().at("/sse").send("GET", &[], b"").await;
        if !answer.is_stream() {
            break answer;
        }
        open.push(answer);
        assert!(open.len() < 1000, "no bound");
    };
    assert_eq!(refused.status, 429);
    site.tokens.revoke(&info.id).await.unwrap();
    for stream in &mut open {
        within("the end of a stream", stream.arrived()).await;
    }
}
