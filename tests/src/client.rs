//! A raw HTTP client: one connection per request, bytes as received.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf as _, Bytes, BytesMut};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::wait::within;

/// The modern protocol version.
pub const MODERN: &str = "2026-07-28";
/// The newest legacy protocol version.
pub const LEGACY: &str = "2025-11-25";

/// A client with its user, path and token.
#[derive(Clone, Debug)]
pub struct Client {
    address: SocketAddr,
    path: String,
    user: String,
    next: Arc<AtomicU64>,
    receive_buffer: Option<u32>,
    token: Option<String>,
}

/// A response with a body that may still be arriving.
#[derive(Debug)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    headers: Vec<(String, String)>,
    stream: TcpStream,
    buffer: BytesMut,
    body: BytesMut,
    over: bool,
    /// The id of the last event.
    pub last_id: Option<String>,
}

/// One event of a stream.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its id.
    pub id: Option<String>,
    /// Its data.
    pub data: Bytes,
}

#[derive(Default, serde::Deserialize)]
struct Named {
    name: Option<String>,
    uri: Option<String>,
    #[serde(rename = "taskId")]
    task_id: Option<String>,
}

impl Event {
    /// Returns the data as JSON.
    pub fn json(&self) -> Value {
        json(&self.data)
    }
}

/// Parses bytes as JSON; invalid ones are null.
pub fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_default()
}

impl Client {
    /// Creates a client of this gateway for this user.
    pub fn new(address: SocketAddr, user: &str) -> Self {
        Self {
            address,
            path: "/mcp".into(),
            user: user.into(),
            next: Arc::new(AtomicU64::new(100)),
            receive_buffer: None,
            token: None,
        }
    }

    /// Changes the address.
    #[must_use]
    pub fn to(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Returns the client's token.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Sets the client's token.
    #[must_use]
    pub fn bearer(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// Gives connections a small receive buffer, so that few bytes arrive before they are read.
    #[must_use]
    pub fn narrow(mut self) -> Self {
        self.receive_buffer = Some(4096);
        self
    }

    /// Changes the path.
    #[must_use]
    pub fn at(mut self, path: &str) -> Self {
        self.path = path.into();
        self
    }

    /// Sends any request.
    pub async fn send(&self, method: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        within("a response's head", self.try_send(method, headers, body))
            .await
            .expect("the gateway answers")
    }

    /// Sends any request to a gateway that may have ended.
    ///
    /// # Errors
    /// If the connection fails.
    pub async fn try_send(
        &self,
        method: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Response> {
        let socket = TcpSocket::new_v4()?;
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        let mut stream = socket.connect(self.address).await?;
        stream.set_nodelay(true)?;
        let mut head = format!(
            "{method} {} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\nx-user: {}\r\n",
            self.path, self.address, self.user
        );
        if method == "POST" {
            let length = body.len();
            let _ = write!(
                head,
                "content-type: application/json\r\naccept: application/json, text/event-stream\r\ncontent-length: {length}\r\n"
            );
        } else {
            head.push_str("accept: text/event-stream\r\n");
        }
        if let Some(token) = &self.token {
            let _ = write!(head, "authorization: Bearer {token}\r\n");
        }
        for (name, value) in headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        stream.write_all(&bytes).await?;
        Response::read(stream).await
    }

    /// Returns an id that this client has not used.
    pub fn id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Opens a legacy session that declares no capabilities.
    pub async fn session(&self) -> Session {
        self.session_with("{}").await
    }

    /// Opens a legacy session with these capabilities.
    ///
    /// # Panics
    /// If it is rejected.
    pub async fn session_with(&self, capabilities: &str) -> Session {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"{LEGACY}","capabilities":{capabilities},"clientInfo":{{"name":"raw","version":"1"}}}}}}"#
        );
        let mut response = self.send("POST", &[], body.as_bytes()).await;
        let id = response
            .header("mcp-session-id")
            .map_or_else(|| panic!("no session: {}", response.status), str::to_owned);
        let hello = json(&response.message().await);
        let session = Session {
            client: self.clone(),
            id,
            hello,
        };
        session
            .notify(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
            .await;
        session
    }

    /// Sends a modern request with `params` without `_meta`.
    pub async fn modern_raw(&self, id: &str, method: &str, params: &str) -> Response {
        self.modern_with(id, method, params, "", &[]).await
    }

    /// Sends a modern request with more members in `_meta`, and more headers.
    pub async fn modern_with(
        &self,
        id: &str,
        method: &str,
        params: &str,
        meta: &str,
        headers: &[(&str, &str)],
    ) -> Response {
        let body = modern_body(id, method, params, meta);
        let named: Named = serde_json::from_str(params).unwrap_or_default();
        let name = [named.name, named.uri, named.task_id].into_iter().flatten();
        let name = &name.collect::<String>()[..];
        let mut all = vec![("mcp-protocol-version", MODERN), ("mcp-method", method)];
        if matches!(
            method,
            "tools/call" | "prompts/get" | "resources/read" | "tasks/get" | "tasks/cancel"
        ) {
            all.push(("mcp-name", name));
        }
        all.extend_from_slice(headers);
        self.send("POST", &all, body.as_bytes()).await
    }

    /// Sends a modern request and waits for its response.
    pub async fn modern(&self, method: &str, params: &str) -> Value {
        let id = self.id().to_string();
        let mut response = self.modern_raw(&id, method, params).await;
        json(&response.message().await)
    }

    /// Calls a tool as a modern client, and waits for its response without a timeout.
    ///
    /// # Panics
    /// If the connection fails.
    pub async fn modern_patient(&self, name: &str, arguments: &str) -> Value {
        let body = modern_body("1", "tools/call", &call_params(name, arguments), "");
        let headers = [
            ("mcp-protocol-version", MODERN),
            ("mcp-method", "tools/call"),
            ("mcp-name", name),
        ];
        let sent = self.try_send("POST", &headers, body.as_bytes()).await;
        let mut response = sent.expect("the gateway answers");
        response.arrived().await;
        json(&response.message().await)
    }

    /// Calls a tool as a modern client.
    pub async fn modern_tool(&self, name: &str, arguments: &str) -> Value {
        self.modern("tools/call", &call_params(name, arguments))
            .await
    }
}

/// Returns the parameters of `tools/call`.
pub fn call_params(name: &str, arguments: &str) -> String {
    format!(r#"{{"name":"{name}","arguments":{arguments}}}"#)
}

/// Returns the body of a modern request.
pub fn modern_body(id: &str, method: &str, params: &str, meta: &str) -> String {
    let inner = params.trim().trim_start_matches('{').trim();
    let rest = if inner == "}" {
        inner.to_owned()
    } else {
        format!(",{inner}")
    };
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{"_meta":{{"io.modelcontextprotocol/protocolVersion":"{MODERN}","io.modelcontextprotocol/clientInfo":{{"name":"raw","version":"1"}},"io.modelcontextprotocol/clientCapabilities":{{}}{meta}}}{rest}}}"#
    )
}

/// A legacy session.
#[derive(Clone, Debug)]
pub struct Session {
    /// The client that opened it.
    pub client: Client,
    /// Its id.
    pub id: String,
    /// The response to `initialize`.
    pub hello: Value,
}

impl Session {
    fn headers(&self) -> [(&str, &str); 2] {
        [
            ("mcp-session-id", &self.id),
            ("mcp-protocol-version", LEGACY),
        ]
    }

    /// Posts a message.
    pub async fn post(&self, body: &str) -> Response {
        self.client
            .send("POST", &self.headers(), body.as_bytes())
            .await
    }

    /// Posts a notification or a response, which must be accepted.
    ///
    /// # Panics
    /// If it is not.
    pub async fn notify(&self, body: &str) {
        let response = self.post(body).await;
        assert_eq!(response.status, 202, "{body}");
    }

    /// Sends a request with this id.
    pub async fn request_raw(&self, id: &str, method: &str, params: &str) -> Response {
        let body =
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#);
        self.post(&body).await
    }

    /// Sends a request and waits for its response.
    pub async fn request(&self, method: &str, params: &str) -> Value {
        let id = self.client.id().to_string();
        let mut response = self.request_raw(&id, method, params).await;
        json(&response.message().await)
    }

    /// Calls a tool and waits for its response.
    pub async fn tool(&self, name: &str, arguments: &str) -> Value {
        self.request("tools/call", &call_params(name, arguments))
            .await
    }

    /// Starts a tool call with this id.
    pub async fn begin(&self, id: &str, name: &str, arguments: &str) -> Response {
        self.request_raw(id, "tools/call", &call_params(name, arguments))
            .await
    }

    /// Starts a tool call with a progress token.
    pub async fn begin_with_token(
        &self,
        id: &str,
        token: &str,
        name: &str,
        arguments: &str,
    ) -> Response {
        let params = format!(
            r#"{{"name":"{name}","arguments":{arguments},"_meta":{{"progressToken":{token}}}}}"#
        );
        self.request_raw(id, "tools/call", &params).await
    }

    /// Cancels a call.
    pub async fn cancel(&self, id: &str) {
        self.notify(&format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
        ))
        .await;
    }

    /// Opens the stream for messages outside calls, or resumes a stream.
    pub async fn listen(&self, last_id: Option<&str>) -> Response {
        let mut headers = self.headers().to_vec();
        if let Some(last) = last_id {
            headers.push(("last-event-id", last));
        }
        self.client.send("GET", &headers, b"").await
    }

    /// Ends the session and returns the HTTP status.
    pub async fn delete(&self) -> u16 {
        self.client
            .send("DELETE", &self.headers(), b"")
            .await
            .status
    }

    /// Returns the names of all tools, over all pages.
    pub async fn tools(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut params = "{}".to_owned();
        loop {
            let page = self.request("tools/list", &params).await;
            let result = &page["result"];
            let tools = result["tools"].as_array().cloned().unwrap_or_default();
            names.extend(
                tools
                    .iter()
                    .filter_map(|tool| Some(tool["name"].as_str()?.to_owned())),
            );
            let Some(cursor) = result["nextCursor"].as_str() else {
                return names;
            };
            params = serde_json::json!({ "cursor": cursor }).to_string();
        }
    }
}

impl Response {
    async fn read(mut stream: TcpStream) -> std::io::Result<Self> {
        let mut buffer = BytesMut::new();
        let end = loop {
            if let Some(at) = find(&buffer, b"\r\n\r\n") {
                break at;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        };
        let head = String::from_utf8_lossy(&buffer.split_to(end + 4)).into_owned();
        let mut lines = head.lines();
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1)?.parse().ok())
            .unwrap_or(0);
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Ok(Self {
            status,
            headers,
            stream,
            buffer,
            body: BytesMut::new(),
            over: false,
            last_id: None,
        })
    }

    /// Returns a header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns `true` if it is an event stream.
    pub fn is_stream(&self) -> bool {
        self.header("content-type") == Some("text/event-stream")
    }

    /// Waits for the end of the body without a timeout; later reads return at once.
    pub async fn arrived(&mut self) {
        while self.more().await {}
    }

    /// Reads more of the body; returns `false` at its end.
    async fn more(&mut self) -> bool {
        loop {
            if self.over {
                return false;
            }
            if self.header("transfer-encoding").is_some() {
                if let Some(at) = find(&self.buffer, b"\r\n") {
                    let line = String::from_utf8_lossy(&self.buffer[..at]).into_owned();
                    let size = usize::from_str_radix(line.trim(), 16).unwrap_or(0);
                    if self.buffer.len() >= at + 2 + size + 2 {
                        self.buffer.advance(at + 2);
                        let data = self.buffer.split_to(size);
                        self.buffer.advance(2);
                        self.over = size == 0;
                        self.body.extend_from_slice(&data);
                        return !self.over;
                    }
                }
            } else if !self.buffer.is_empty() {
                let data = self.buffer.split();
                self.body.extend_from_slice(&data);
                return true;
            }
            if !matches!(self.stream.read_buf(&mut self.buffer).await, Ok(n) if n > 0) {
                self.over = true;
            }
        }
    }

    /// Returns the whole body.
    pub async fn bytes(&mut self) -> Bytes {
        within("a whole body", async {
            while self.more().await {}
            self.body.split().freeze()
        })
        .await
    }

    /// Returns the next event with data, or `None` at the end of the stream.
    pub async fn event(&mut self) -> Option<Event> {
        within("an event", async {
            loop {
                if let Some(end) = find(&self.body, b"\n\n") {
                    let block = self.body.split_to(end + 2);
                    if let Some(event) = self.parsed(&block) {
                        return Some(event);
                    }
                } else if !self.more().await {
                    return None;
                }
            }
        })
        .await
    }

    /// Waits for an event with an id, even an empty event; returns an empty id if the stream ends first.
    pub async fn wait_for_id(&mut self) -> String {
        within("an event's id", async {
            loop {
                if let Some(id) = &self.last_id {
                    return id.clone();
                }
                if let Some(end) = find(&self.body, b"\n\n") {
                    let block = self.body.split_to(end + 2);
                    self.parsed(&block);
                } else if !self.more().await {
                    return String::new();
                }
            }
        })
        .await
    }

    fn parsed(&mut self, block: &[u8]) -> Option<Event> {
        let mut data: Option<Vec<u8>> = None;
        let mut id = None;
        for line in block.split(|b| *b == b'\n') {
            if let Some(text) = line.strip_prefix(b"data:") {
                let text = text.strip_prefix(b" ").unwrap_or(text);
                let all = data.get_or_insert_with(Vec::new);
                if !all.is_empty() {
                    all.push(b'\n');
                }
                all.extend_from_slice(text);
            } else if let Some(text) = line.strip_prefix(b"id: ") {
                id = Some(String::from_utf8_lossy(text).into_owned());
            }
        }
        if id.is_some() {
            self.last_id.clone_from(&id);
        }
        let data = data.filter(|data| !data.is_empty())?;
        Some(Event {
            id,
            data: data.into(),
        })
    }

    /// Returns the JSON-RPC response: the body, or the event without a method; empty if the stream ends without one.
    pub async fn message(&mut self) -> Bytes {
        if !self.is_stream() {
            return self.bytes().await;
        }
        while let Some(event) = self.event().await {
            if event.json()["method"].is_null() {
                return event.data;
            }
        }
        Bytes::new()
    }

    /// Returns the JSON-RPC response as JSON.
    pub async fn json(&mut self) -> Value {
        json(&self.message().await)
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, what)
}
