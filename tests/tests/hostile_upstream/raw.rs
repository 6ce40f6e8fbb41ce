//! An HTTP server that sends any bytes that a test chooses.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use mcp_orchestrator_core::server::{Launch, RemoteTransport, ServerSpec};
use mcp_orchestrator_tests::gateway::server_id;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) verb: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
    /// The number of its connection, from 1.
    pub(crate) connection: usize,
    /// Its position among the requests of its connection, from 1.
    pub(crate) turn: usize,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(known, _)| known == name)
            .map(|(_, value)| &value[..])
    }

    pub(crate) fn method(&self) -> &str {
        self.body["method"].as_str().unwrap_or_default()
    }

    pub(crate) fn id(&self) -> &Value {
        &self.body["id"]
    }

    pub(crate) fn is_call(&self) -> bool {
        self.method() == "tools/call"
    }

    pub(crate) fn tool(&self) -> &str {
        self.body["params"]["name"].as_str().unwrap_or_default()
    }

    pub(crate) fn argument(&self, name: &str) -> &Value {
        &self.body["params"]["arguments"][name]
    }

    /// The valid response with this text.
    pub(crate) fn answer(&self, text: &str) -> Value {
        answer(self.id(), text)
    }
}

/// The server's next action.
#[derive(Clone, Debug)]
pub(crate) enum RawAction {
    Say(Vec<u8>),
    /// Waits until the test notifies it.
    Until(Arc<Notify>),
    /// Sends these bytes repeatedly until the peer stops reading.
    Flood(Vec<u8>),
    Close,
    Hang,
}

type Behaviour = dyn Fn(&Request) -> Vec<RawAction> + Send + Sync;

/// A running server, stopped on drop.
pub(crate) struct Raw {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    _serving: JoinSet<()>,
}

impl Raw {
    pub(crate) async fn start(
        manner: impl Fn(&Request) -> Vec<RawAction> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (manner, kept): (Arc<Behaviour>, _) = (Arc::new(manner), Arc::clone(&seen));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let (mut connections, mut number) = (JoinSet::new(), 0);
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                number += 1;
                connections.spawn(serve(
                    stream,
                    number,
                    Arc::clone(&manner),
                    Arc::clone(&kept),
                ));
            }
        });
        Self {
            address,
            seen,
            _serving: serving,
        }
    }

    pub(crate) fn spec(&self, name: &str) -> ServerSpec {
        self.spec_at(name, "/mcp", RemoteTransport::StreamableHttp)
    }

    pub(crate) fn spec_at(&self, name: &str, path: &str, transport: RemoteTransport) -> ServerSpec {
        let url = format!("http://{}{path}", self.address);
        let mut spec = ServerSpec::remote(server_id(name), url.parse().unwrap());
        if let Launch::Remote(remote) = &mut spec.launch {
            remote.transport = transport;
        }
        spec
    }

    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().clone()
    }

    pub(crate) fn count(&self, which: impl Fn(&Request) -> bool) -> usize {
        self.seen().iter().filter(|request| which(request)).count()
    }

    pub(crate) fn calls(&self) -> usize {
        self.count(Request::is_call)
    }
}

async fn serve(
    mut stream: TcpStream,
    connection: usize,
    manner: Arc<Behaviour>,
    seen: Arc<Mutex<Vec<Request>>>,
) {
    let mut buffer = Vec::new();
    for turn in 1.. {
        let Some(mut request) = read(&mut stream, &mut buffer).await else {
            return;
        };
        (request.connection, request.turn) = (connection, turn);
        seen.lock().push(request.clone());
        for act in manner(&request) {
            match act {
                RawAction::Say(bytes) => {
                    if stream.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                RawAction::Until(word) => word.notified().await,
                RawAction::Flood(bytes) => while stream.write_all(&bytes).await.is_ok() {},
                RawAction::Close => return,
                RawAction::Hang => std::future::pending().await,
            }
        }
    }
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Request> {
    let end = loop {
        if let Some(at) = memchr::memmem::find(buffer, b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head: Vec<u8> = buffer.drain(..end).collect();
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (verb, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .map_or(0, |(_, length)| length.parse().unwrap());
    while buffer.len() < length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body: Vec<u8> = buffer.drain(..length).collect();
    Some(Request {
        verb,
        path,
        headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
        connection: 0,
        turn: 0,
    })
}

pub(crate) fn answer(id: &Value, text: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": { "content": [{ "type": "text", "text": text }] } })
}

pub(crate) fn error(id: &Value, code: i32, message: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
}

/// A complete response.
pub(crate) fn response(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
    for line in headers.lines() {
        let _ = write!(head, "{line}\r\n");
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

pub(crate) fn say(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Vec<RawAction> {
    vec![RawAction::Say(response(status, headers, body.as_ref()))]
}

pub(crate) fn json_body(value: &Value) -> Vec<RawAction> {
    json_status(200, value)
}

pub(crate) fn json_status(status: u16, value: &Value) -> Vec<RawAction> {
    say(status, "content-type: application/json", value.to_string())
}

/// The head of an event stream; its body lasts until the connection is closed.
pub(crate) fn events() -> RawAction {
    events_with("")
}

pub(crate) fn events_with(headers: &str) -> RawAction {
    let mut head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n".to_owned();
    for line in headers.lines() {
        let _ = write!(head, "{line}\r\n");
    }
    RawAction::Say(format!("{head}\r\n").into_bytes())
}

pub(crate) fn event(value: &Value) -> RawAction {
    RawAction::Say(format!("data: {value}\n\n").into_bytes())
}

/// Answers like a valid server; returns `None` for tool calls, which the test handles.
pub(crate) fn usual(request: &Request) -> Option<Vec<RawAction>> {
    usual_in(request, "")
}

/// Like [`usual`], with more header lines for `initialize`.
pub(crate) fn usual_in(request: &Request, headers: &str) -> Option<Vec<RawAction>> {
    let result = match (&request.verb[..], request.method()) {
        ("GET", _) => return Some(say(405, "", "")),
        ("DELETE", _) => return Some(say(200, "", "")),
        (_, "initialize") => json!({
            "protocolVersion": "2025-06-18",
            "capabilities": { "tools": { "listChanged": true } },
            "serverInfo": { "name": "raw", "version": "1" },
        }),
        (_, "tools/list") => {
            json!({ "tools": [{ "name": "t", "inputSchema": { "type": "object" } }] })
        }
        (_, "tools/call") => return None,
        _ if request.id().is_null() => return Some(say(202, "", "")),
        _ => return Some(json_body(&error(request.id(), -32601, "unknown method"))),
    };
    let body = json!({ "jsonrpc": "2.0", "id": request.id(), "result": result }).to_string();
    Some(say(
        200,
        &format!("content-type: application/json\n{headers}"),
        body,
    ))
}

/// A server of the modern era only; `None` for tool calls.
pub(crate) fn usual_modern(request: &Request) -> Option<Vec<RawAction>> {
    let version = &request.body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"];
    let result = match request.method() {
        _ if version.is_null() => {
            return Some(json_status(
                400,
                &error(request.id(), -32601, "unknown method"),
            ));
        }
        "server/discover" => json!({
            "resultType": "complete", "supportedVersions": ["2026-07-28"],
            "capabilities": { "tools": {} }, "ttlMs": 0, "cacheScope": "private",
        }),
        "tools/list" => json!({
            "resultType": "complete", "ttlMs": 0, "cacheScope": "private",
            "tools": [{ "name": "t", "inputSchema": { "type": "object" } }],
        }),
        "tools/call" => return None,
        _ => {
            return Some(json_status(
                404,
                &error(request.id(), -32601, "unknown method"),
            ));
        }
    };
    Some(json_body(
        &json!({ "jsonrpc": "2.0", "id": request.id(), "result": result }),
    ))
}

/// Returns the text of a tool's result, else the error's message, else the whole message.
pub(crate) fn said(answer: &Value) -> String {
    let text = answer["result"]["content"][0]["text"].as_str();
    let text = text.or_else(|| answer["error"]["message"].as_str());
    text.map_or_else(|| answer.to_string(), str::to_owned)
}
