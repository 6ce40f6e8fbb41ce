//! A scriptable MCP server over HTTP: the test chooses each of its responses.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use futures_util::stream;
use http::{Method, StatusCode};
use mcp_orchestrator_core::server::ServerSpec;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::gateway::server_id;

/// A request that the server received.
#[derive(Debug)]
pub struct ReceivedRequest {
    /// Its method.
    pub method: String,
    /// Its parameters; null if absent.
    pub params: Value,
    /// The number of earlier requests with this method.
    pub before: usize,
}

impl ReceivedRequest {
    /// Returns `true` if the request has this method.
    pub fn is(&self, method: &str) -> bool {
        self.method == method
    }
}

/// The server's response.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The response of a valid server with one tool `t`.
    Usual,
    /// This result, as JSON text.
    Result(String),
    /// An error with this code.
    Error(i64),
    /// No response, ever.
    Silence,
    /// This result, as JSON text, followed by a notification that the tools have changed.
    Changed(String),
}

impl Answer {
    /// Creates a result.
    pub fn result(value: &Value) -> Self {
        Self::Result(value.to_string())
    }
}

/// A listening server. Dropping it stops it.
#[derive(Debug)]
pub struct Lister {
    address: SocketAddr,
    counts: Arc<Mutex<HashMap<String, usize>>>,
    _serving: JoinSet<()>,
}

struct Shared {
    answers: Box<dyn Fn(&ReceivedRequest) -> Answer + Send + Sync>,
    counts: Arc<Mutex<HashMap<String, usize>>>,
    changes: watch::Sender<u64>,
}

/// Returns the result of `tools/list` with these tools.
pub fn tools(names: &[&str]) -> Value {
    let tool = |name: &&str| json!({ "name": name, "inputSchema": { "type": "object" } });
    json!({ "tools": names.iter().map(tool).collect::<Vec<_>>() })
}

impl Lister {
    /// Starts a server on a free port.
    ///
    /// # Panics
    /// If it cannot listen.
    pub async fn start(
        answers: impl Fn(&ReceivedRequest) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let counts = Arc::<Mutex<HashMap<String, usize>>>::default();
        let shared = Arc::new(Shared {
            answers: Box::new(answers),
            counts: Arc::clone(&counts),
            changes: watch::Sender::new(0),
        });
        let router = axum::Router::new()
            .route("/mcp", any(answer))
            .with_state(shared);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Self {
            address,
            counts,
            _serving: serving,
        }
    }

    /// Returns a spec of this server.
    ///
    /// # Panics
    /// Never: the address is valid.
    pub fn spec(&self, name: &str) -> ServerSpec {
        let url = format!("http://{}/mcp", self.address);
        ServerSpec::remote(server_id(name), url.parse().expect("an address"))
    }

    /// Returns how many requests with this method it received.
    pub fn count(&self, method: &str) -> usize {
        let counts = self.counts.lock();
        counts.get(method).copied().unwrap_or(0)
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if parts.method == Method::GET {
        return changes(&shared);
    }
    let body = axum::body::to_bytes(body, usize::MAX).await;
    let message: Value = body
        .ok()
        .and_then(|body| serde_json::from_slice(&body).ok())
        .unwrap_or_default();
    let (Some(method), Some(id)) = (message["method"].as_str(), message.get("id")) else {
        return StatusCode::ACCEPTED.into_response();
    };
    let asked = ReceivedRequest {
        method: method.to_owned(),
        params: message["params"].clone(),
        before: {
            let mut counts = shared.counts.lock();
            let count = counts.entry(method.to_owned()).or_default();
            *count += 1;
            *count - 1
        },
    };
    let mut answer = (shared.answers)(&asked);
    if matches!(answer, Answer::Usual) {
        answer = usual(&asked);
    }
    let body = match answer {
        Answer::Usual | Answer::Silence => return std::future::pending().await,
        Answer::Error(code) => {
            json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": "no" } })
                .to_string()
        }
        Answer::Result(result) => format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#),
        Answer::Changed(result) => {
            shared.changes.send_modify(|changes| *changes += 1);
            format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
        }
    };
    let headers = [
        ("content-type", "application/json"),
        ("mcp-session-id", "lister"),
    ];
    (headers, body).into_response()
}

/// Opens the stream for messages outside calls.
fn changes(shared: &Shared) -> Response {
    const CHANGED: &str =
        "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n";
    let mut receiver = shared.changes.subscribe();
    if *receiver.borrow() > 0 {
        // The stream may be opened after the first change.
        receiver.mark_changed();
    }
    let events = stream::unfold(receiver, |mut receiver| async move {
        receiver.changed().await.ok()?;
        Some((Ok::<_, std::convert::Infallible>(CHANGED), receiver))
    });
    let headers = [("content-type", "text/event-stream")];
    (headers, Body::from_stream(events)).into_response()
}

fn usual(asked: &ReceivedRequest) -> Answer {
    Answer::result(&match &asked.method[..] {
        "initialize" => json!({
            "protocolVersion": "2025-11-25",
            "capabilities": { "tools": {}, "prompts": {}, "resources": {} },
            "serverInfo": { "name": "lister", "version": "1" },
        }),
        "tools/list" => tools(&["t"]),
        "prompts/list" => json!({ "prompts": [] }),
        "resources/list" => json!({ "resources": [] }),
        "resources/templates/list" => json!({ "resourceTemplates": [] }),
        "ping" => json!({}),
        "tools/call" => json!({ "content": [{ "type": "text", "text": "called" }] }),
        _ => return Answer::Error(-32601),
    })
}
