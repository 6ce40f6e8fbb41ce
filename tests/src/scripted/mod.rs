//! A scripted MCP server, which can also misbehave. It shares no code with the gateway.

mod answers;
mod hostile;
mod http;
mod input;
mod spec;
mod sse;
mod tasks;
mod tools;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;

pub use self::hostile::dressed;
pub use self::http::Upstream;
pub use self::spec::{program, scripted};
pub use self::sse::SseUpstream;

/// The properties of the server.
#[derive(Clone, Debug)]
pub struct Script {
    /// Whether it serves legacy clients.
    pub legacy: bool,
    /// Whether it serves modern clients.
    pub modern: bool,
    /// The number of plain tools `tool-N`, in addition to the tools with special behaviour.
    pub tools: usize,
    /// The number of items per page; `None` for a single page.
    pub page: Option<usize>,
    /// The tool call at which it crashes.
    pub crash_at: Option<u64>,
    /// The number of requests after which it loses an HTTP session.
    pub lose_after: Option<u64>,
    /// Whether it has a tool `job` that runs only as a task.
    pub tasks: bool,
    /// The `authorization` header that HTTP requests must have.
    pub authorization: Option<String>,
    /// Answers that replace the server's own, by method.
    pub answers: Vec<(String, String)>,
    /// The capabilities to declare, as JSON.
    pub capabilities: Option<String>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            legacy: true,
            modern: false,
            tools: 1,
            page: None,
            crash_at: None,
            lose_after: None,
            tasks: false,
            authorization: None,
            answers: Vec::new(),
            capabilities: None,
        }
    }
}

/// An output of the server.
#[derive(Clone, Debug)]
pub enum Say {
    /// A message.
    Message(Bytes),
    /// Bytes that are not a message (standard output only).
    Raw(Bytes),
    /// A break of the HTTP stream; the remaining output is read by resuming it.
    Cut(String),
}

/// The destination of the output.
pub type Out = mpsc::UnboundedSender<Say>;

/// A message that the server received.
#[derive(Clone, Debug)]
pub struct Received {
    /// The whole message.
    pub body: Bytes,
    /// Its method; empty for responses.
    pub method: String,
    /// Its HTTP headers.
    pub headers: Vec<(String, String)>,
}

/// The behaviour of the server, independent of the transport.
#[derive(Clone, Debug)]
pub struct Server(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    script: Script,
    tools: AtomicUsize,
    calls: AtomicU64,
    asked: AtomicU64,
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    received: Vec<Received>,
    cancelled: Vec<String>,
    subscribed: HashSet<String>,
    gates: HashSet<String>,
    answers: HashMap<String, oneshot::Sender<Bytes>>,
    told: Vec<String>,
    jobs: HashMap<String, tasks::Job>,
    listeners: Vec<(String, Out)>,
    beside: JoinSet<()>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: Option<String>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

/// The members that determine a message's kind. Values are not parsed, because a test may use arbitrarily large
/// numbers.
#[derive(Debug, Default)]
struct Head {
    method: String,
    has_id: bool,
}

impl Head {
    fn read(bytes: &[u8]) -> Self {
        let Ok(envelope) = serde_json::from_slice::<Envelope<'_>>(bytes) else {
            return Self::default();
        };
        Self {
            has_id: envelope.id.is_some(),
            method: envelope.method.unwrap_or_default(),
        }
    }
}

/// The answer to a request.
enum Answer {
    Result(String),
    Error(String),
}

impl Server {
    /// Creates a server with this script.
    pub fn new(script: Script) -> Self {
        let tools = AtomicUsize::new(script.tools);
        Self(Arc::new(Inner {
            script,
            tools,
            calls: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            state: Mutex::default(),
            news: Notify::new(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }

    /// Returns everything that it received.
    pub fn received(&self) -> Vec<Received> {
        self.state().received.clone()
    }

    /// Returns the received messages with this method.
    pub fn received_of(&self, method: &str) -> Vec<Received> {
        let mut all = self.received();
        all.retain(|message| message.method == method);
        all
    }

    /// Returns the ids of requests that were cancelled, as JSON.
    pub fn cancelled(&self) -> Vec<String> {
        self.state().cancelled.clone()
    }

    /// Returns the number of tool calls.
    pub fn calls(&self) -> u64 {
        self.0.calls.load(Ordering::Acquire)
    }

    /// Opens a gate.
    pub fn open(&self, gate: &str) {
        self.state().gates.insert(gate.to_owned());
        self.0.news.notify_waiters();
    }

    /// Changes the number of plain tools without a notification.
    pub fn set_tools(&self, tools: usize) {
        self.0.tools.store(tools, Ordering::Release);
    }

    async fn gate(&self, gate: &str) {
        loop {
            let news = self.0.news.notified();
            if self.state().gates.contains(gate) {
                return;
            }
            news.await;
        }
    }

    /// Handles one message: sends output until the request is answered.
    pub async fn take(&self, body: Bytes, headers: Vec<(String, String)>, call: Out, general: Out) {
        let Ok(envelope) = serde_json::from_slice::<Envelope<'_>>(&body) else {
            return;
        };
        let method = envelope.method.unwrap_or_default();
        self.state().received.push(Received {
            body: body.clone(),
            method: method.clone(),
            headers,
        });
        self.0.news.notify_waiters();
        let params = envelope.params.map_or("{}", RawValue::get);
        match (envelope.id, method.is_empty()) {
            (Some(id), true) => {
                let waiting = self.state().answers.remove(id.get().trim_matches('"'));
                if let Some(waiting) = waiting {
                    let _ = waiting.send(body.clone());
                }
            }
            (None, _) => self.notified(&method, params),
            (Some(id), false) => {
                let request = tools::Request {
                    id: id.get().to_owned(),
                    params: params.to_owned(),
                    call: call.clone(),
                    general,
                };
                let answer = self.answer(&method, &request).await;
                let Some(answer) = answer else {
                    return std::future::pending().await;
                };
                let id = id.get();
                let text = match answer {
                    Answer::Result(result) => {
                        format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}")
                    }
                    Answer::Error(error) => {
                        format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{error}}}")
                    }
                };
                let _ = call.send(Say::Message(text.into()));
            }
        }
    }

    fn notified(&self, method: &str, params: &str) {
        let value: serde_json::Value = serde_json::from_str(params).unwrap_or_default();
        let mut state = self.state();
        if method == "notifications/cancelled" {
            state.cancelled.push(value["requestId"].to_string());
        }
        state.told.push(method.to_owned());
        drop(state);
        self.0.news.notify_waiters();
    }

    /// Returns the answer, or `None` if it never answers.
    async fn answer(&self, method: &str, request: &tools::Request) -> Option<Answer> {
        let script = &self.0.script;
        let params: serde_json::Value = serde_json::from_str(&request.params).unwrap_or_default();
        let is_modern = params["_meta"]["io.modelcontextprotocol/protocolVersion"].is_string();
        let refused = || {
            Some(Answer::Error(
                r#"{"code":-32601,"message":"unknown method"}"#.into(),
            ))
        };
        if is_modern && !script.modern || !is_modern && !script.legacy {
            return refused();
        }
        let supplied = script.supplied(method, &params, is_modern);
        if supplied.is_some() {
            return supplied;
        }
        if let Some(rest) = input::rest_of(script, method, &params) {
            return self.with_input(request, method, is_modern, rest).await;
        }
        let capabilities = script.capabilities(is_modern);
        let result = match method {
            "initialize" if !is_modern => format!(
                r#"{{"protocolVersion":{},"capabilities":{capabilities},"serverInfo":{{"name":"scripted","version":"1"}}}}"#,
                params["protocolVersion"]
            ),
            "server/discover" if is_modern => format!(
                r#"{{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{capabilities},"ttlMs":0,"cacheScope":"private"}}"#
            ),
            "ping" | "logging/setLevel" if !is_modern => "{}".into(),
            "tools/list" => self.list(&params, is_modern),
            "tools/call" => return self.call(request).await,
            "prompts/list" | "resources/list" | "resources/templates/list" => {
                complete(items(method), is_modern, true)
            }
            "prompts/get" | "completion/complete" => {
                return Some(tools::prompt(method, &params, is_modern));
            }
            "resources/read" if params["uri"] == "test://a" => complete(
                r#""contents":[{"uri":"test://a","text":"a"}]"#,
                is_modern,
                true,
            ),
            "resources/read" => return Some(answers::no_resource(&params["uri"], is_modern)),
            "resources/subscribe" | "resources/unsubscribe" if !is_modern => {
                let uri = params["uri"].as_str().unwrap_or_default().to_owned();
                let mut state = self.state();
                if method.ends_with("unsubscribe") {
                    state.subscribed.remove(&uri);
                } else {
                    state.subscribed.insert(uri);
                }
                "{}".into()
            }
            "subscriptions/listen" if is_modern => {
                return self.listen(request, &params).await;
            }
            _ => return refused(),
        };
        Some(Answer::Result(result))
    }

    async fn listen(&self, request: &tools::Request, params: &serde_json::Value) -> Option<Answer> {
        let id = &request.id;
        let text = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}},"notifications":{}}}}}"#,
            params["notifications"]
        );
        let _ = request.call.send(Say::Message(text.into()));
        self.state()
            .listeners
            .push((id.clone(), request.call.clone()));
        None
    }

    fn list(&self, params: &serde_json::Value, modern: bool) -> String {
        let mut names: Vec<String> = tools::NAMES.iter().map(|name| (*name).to_owned()).collect();
        let count = self.0.tools.load(Ordering::Acquire);
        names.extend((0..count).map(|n| format!("tool-{n}")));
        let from = params["cursor"]
            .as_str()
            .and_then(|cursor| cursor.parse().ok())
            .unwrap_or(0);
        let size = self.0.script.page.unwrap_or(names.len());
        let page: Vec<String> = names
            .iter()
            .skip(from)
            .take(size)
            .map(|name| {
                format!(
                    r#"{{"name":"{name}","x-unknown":123456789012345678901234567890,"inputSchema":{{"type":"object","z":1,"a":2}}}}"#
                )
            })
            .collect();
        let mut members = format!("\"tools\":[{}]", page.join(","));
        if from + size < names.len() {
            members.push_str(&format!(",\"nextCursor\":\"{}\"", from + size));
        }
        complete(&members, modern, true)
    }

    /// Sends a message outside calls.
    fn announce(&self, request: &tools::Request, method: &str, params: &str) {
        let listeners = self.state().listeners.clone();
        let text = format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#);
        if listeners.is_empty() {
            let _ = request.general.send(Say::Message(text.into()));
            return;
        }
        for (id, out) in listeners {
            let meta = format!(r#""_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}"#);
            let rest = params.trim_start_matches('{');
            let comma = if rest == "}" { "" } else { "," };
            let text = format!(
                r#"{{"jsonrpc":"2.0","method":"{method}","params":{{{meta}{comma}{rest}}}"#
            );
            let _ = out.send(Say::Message(text.into()));
        }
    }
}

/// Returns the items of lists other than tools.
fn items(method: &str) -> &'static str {
    match method {
        "prompts/list" => r#""prompts":[{"name":"greet","arguments":[{"name":"who"}]}]"#,
        "resources/list" => r#""resources":[{"uri":"test://a","name":"a"}]"#,
        _ => r#""resourceTemplates":[]"#,
    }
}

/// Returns a result in the form of either era.
fn complete(members: &str, modern: bool, cached: bool) -> String {
    match (modern, cached) {
        (false, _) => format!("{{{members}}}"),
        (true, false) => format!(r#"{{{members},"resultType":"complete"}}"#),
        (true, true) => {
            let mut all = format!(r#"{{{members},"resultType":"complete""#);
            for (name, value) in [("ttlMs", "1000"), ("cacheScope", "\"private\"")] {
                if !members.contains(&format!("\"{name}\":")) {
                    all.push_str(&format!(",\"{name}\":{value}"));
                }
            }
            all + "}"
        }
    }
}
