//! A legacy MCP server over HTTP that answers with the `_meta` that it received, and keeps the headers.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// The headers of the last `tools/call`.
type Headers = Arc<Mutex<HeaderMap>>;

pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    headers: Headers,
    _server: JoinSet<()>,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let headers = Headers::default();
        let routes = axum::Router::new()
            .route("/mcp", post(answer))
            .with_state(Arc::clone(&headers));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self {
            address,
            headers,
            _server: server,
        }
    }

    /// Returns a header of the last `tools/call`.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let headers = self.headers.lock();
        let value = headers.get(name)?;
        Some(value.to_str().unwrap().to_owned())
    }
}

async fn answer(State(last): State<Headers>, headers: HeaderMap, body: Bytes) -> Response {
    let message: Value = serde_json::from_slice(&body).unwrap();
    let Some(id) = message.get("id") else {
        return StatusCode::ACCEPTED.into_response();
    };
    let method = message["method"].as_str().unwrap_or_default();
    let result = match method {
        "initialize" => json!({
            "protocolVersion": "2025-06-18",
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "traced", "version": "1" },
        }),
        "tools/list" => json!({
            "tools": [{ "name": "meta", "inputSchema": { "type": "object" } }],
        }),
        "tools/call" => {
            *last.lock() = headers;
            json!({ "content": [], "meta": message["params"]["_meta"] })
        }
        _ => {
            let error = json!({ "code": -32601, "message": "method not found" });
            let answer = json!({ "jsonrpc": "2.0", "id": id, "error": error });
            return json_response(&answer);
        }
    };
    json_response(&json!({ "jsonrpc": "2.0", "id": id, "result": result }))
}

fn json_response(message: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], message.to_string()).into_response()
}
