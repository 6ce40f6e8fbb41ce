//! In-memory servers that record the messages of each instance, and send messages on behalf of a test.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mcp_orchestrator_core::runtime::{BoxedIo, Exit, InstanceKey};
use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::{Notify, mpsc};

/// A message that reached an instance.
#[derive(Clone, Debug)]
pub(crate) struct ReceivedMessage {
    pub(crate) key: InstanceKey,
    pub(crate) message: Value,
    /// The step of a world during which it arrived.
    pub(crate) at: usize,
}

impl ReceivedMessage {
    pub(crate) fn method(&self) -> &str {
        self.message["method"].as_str().unwrap_or_default()
    }
}

/// The messages of all instances, and channels to send messages from one.
#[derive(Debug, Default)]
pub(crate) struct InstanceMessages {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    got: Vec<ReceivedMessage>,
    says: Vec<(InstanceKey, mpsc::UnboundedSender<Value>)>,
    /// The user that each task was created for, by task id.
    tasks: BTreeMap<String, String>,
    made: u64,
    subscribed: Vec<(InstanceKey, String)>,
    /// Servers with instances that do not answer yet.
    held: BTreeSet<String>,
    step: usize,
    /// A server and a method that it does not answer.
    mute: Option<(String, String)>,
    /// Length of the text of each listed task.
    padding: usize,
}

impl InstanceMessages {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(crate) fn got(&self) -> Vec<ReceivedMessage> {
        self.state().got.clone()
    }

    /// Returns the messages with this method.
    pub(crate) fn got_of(&self, method: &str) -> Vec<ReceivedMessage> {
        let mut all = self.got();
        all.retain(|got| got.method() == method);
        all
    }

    /// Waits until the received messages satisfy a condition.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&[ReceivedMessage]) -> bool) {
        let looking = async {
            loop {
                let news = self.news.notified();
                if holds(&self.state().got) {
                    return;
                }
                news.await;
            }
        };
        crate::authority::wait::within(what, looking).await;
    }

    /// Returns the URIs of all resource subscriptions at instances.
    pub(crate) fn subscribed(&self) -> Vec<String> {
        let state = self.state();
        let known = state.subscribed.iter();
        known.map(|(_, uri)| uri.clone()).collect()
    }

    /// Returns the resource subscriptions at running instances.
    pub(crate) fn subscribed_at(&self) -> Vec<(InstanceKey, String)> {
        let running = self.running();
        let mut all = self.state().subscribed.clone();
        all.retain(|(key, _)| running.contains(key));
        all
    }

    /// Returns the running instances.
    pub(crate) fn running(&self) -> Vec<InstanceKey> {
        let mut state = self.state();
        state.says.retain(|(_, says)| !says.is_closed());
        state.says.iter().map(|(key, _)| key.clone()).collect()
    }

    /// Sends a message from an instance.
    pub(crate) fn say(&self, key: &InstanceKey, message: &Value) {
        let state = self.state();
        for (other, says) in &state.says {
            if other == key {
                let _ = says.send(message.clone());
            }
        }
    }

    /// Makes a server leave a method without an answer.
    pub(crate) fn mute(&self, server: &str, method: &str) {
        self.state().mute = Some((server.to_owned(), method.to_owned()));
    }

    /// Sets the length of the text of each listed task.
    pub(crate) fn pad(&self, len: usize) {
        self.state().padding = len;
    }

    /// Begins a step of a world.
    pub(crate) fn step(&self, step: usize) {
        self.state().step = step;
    }

    /// Returns the servers that are held.
    pub(crate) fn held(&self) -> BTreeSet<String> {
        self.state().held.clone()
    }

    /// Holds a server: instances that start do not answer until they are released.
    pub(crate) fn hold(&self, server: &str) {
        self.state().held.insert(server.to_owned());
    }

    /// Releases the instances of a server.
    pub(crate) fn let_go(&self, server: &str) {
        self.state().held.remove(server);
        self.news.notify_waiters();
    }

    async fn begins(&self, key: &InstanceKey) {
        loop {
            let news = self.news.notified();
            if !self.state().held.contains(key.server().as_str()) {
                return;
            }
            news.await;
        }
    }

    /// Returns the number of instances of a server that have started, including held ones.
    pub(crate) fn started(&self, server: &str) -> usize {
        let state = self.state();
        let of = state.says.iter().map(|(key, _)| key.server().as_str());
        of.filter(|of| *of == server).count()
    }

    /// Returns the user that a task was created for.
    pub(crate) fn made_for(&self, id: &str) -> Option<String> {
        self.state().tasks.get(id).cloned()
    }

    /// Serves one instance until its input ends.
    pub(crate) async fn serve(self: Arc<Self>, key: InstanceKey, pipe: BoxedIo) -> Exit {
        let (reader, mut writer) = tokio::io::split(pipe);
        let mut lines = BufReader::new(reader).lines();
        let (says, mut said) = mpsc::unbounded_channel();
        self.state().says.push((key.clone(), says));
        self.news.notify_waiters();
        // A new instance has no subscriptions.
        self.state().subscribed.retain(|(other, _)| *other != key);
        self.begins(&key).await;
        loop {
            let answer = tokio::select! {
                line = lines.next_line() => match line {
                    Ok(Some(line)) => self.take(&key, &line),
                    _ => return Exit::status(0),
                },
                message = said.recv() => message.into_iter().collect(),
            };
            for message in answer {
                let line = format!("{message}\n");
                if writer.write_all(line.as_bytes()).await.is_err() {
                    return Exit::status(1);
                }
            }
        }
    }

    fn take(&self, key: &InstanceKey, line: &str) -> Vec<Value> {
        let Ok(message) = serde_json::from_str::<Value>(line) else {
            return Vec::new();
        };
        let mut state = self.state();
        let at = state.step;
        state.got.push(ReceivedMessage {
            key: key.clone(),
            message: message.clone(),
            at,
        });
        self.news.notify_waiters();
        let method = message["method"].as_str().unwrap_or_default();
        let id = &message["id"];
        if id.is_null() || method.is_empty() {
            return Vec::new();
        }
        let answer = |result: Value| json!({ "jsonrpc": "2.0", "id": id, "result": result });
        let params = &message["params"];
        if method == "tools/call" && params["name"] == "ask" {
            let usual = json!({ "message": "?", "_meta": { "progressToken": "p" } });
            let asked = params["arguments"].get("params").unwrap_or(&usual);
            let ask = json!({ "jsonrpc": "2.0", "id": "q", "method": "elicitation/create",
                "params": asked });
            // The call is answered by the answer to this request, or by the test.
            return vec![ask];
        }
        let muted =
            |(server, muted): &(String, String)| key.server().as_str() == server && method == muted;
        if state.mute.as_ref().is_some_and(muted) {
            return Vec::new();
        }
        let result = state.result(key, method, params);
        if params["uri"] == "mem://never" && method == "resources/subscribe" {
            // Subscribed, but never answered.
            return Vec::new();
        }
        if params["uri"] == "mem://refused" {
            let error = json!({ "code": -32002, "message": "refused" });
            return vec![json!({ "jsonrpc": "2.0", "id": id, "error": error })];
        }
        let Some(result) = result else {
            let error = json!({ "code": -32601, "message": "unknown" });
            return vec![json!({ "jsonrpc": "2.0", "id": id, "error": error })];
        };
        vec![answer(result)]
    }
}

impl State {
    fn listed_tasks(&self) -> Value {
        let padding = "x".repeat(self.padding);
        let task = |(id, made_for): (&String, &String)| {
            json!({ "taskId": id, "status": "working", "for": made_for, "ttl": null,
                "statusMessage": padding })
        };
        json!({ "tasks": self.tasks.iter().map(task).collect::<Vec<_>>() })
    }

    fn result(&mut self, key: &InstanceKey, method: &str, params: &Value) -> Option<Value> {
        let who = params["_meta"]["who"].clone();
        Some(match method {
            "initialize" => json!({
                "protocolVersion": params["protocolVersion"],
                "capabilities": { "tools": {}, "resources": { "subscribe": true }, "logging": {},
                    "completions": {}, "prompts": {}, "tasks": { "list": {}, "cancel": {} } },
                "serverInfo": { "name": key.server().as_str(), "version": "1" },
            }),
            "tools/list" => {
                let tool =
                    |name: &str| json!({ "name": name, "inputSchema": { "type": "object" } });
                let names = ["echo", "hidden", "task", "ask"];
                json!({ "tools": names.map(tool) })
            }
            "resources/list" => {
                let uri = format!("mem://{}/a", key.server());
                json!({ "resources": [{ "uri": uri, "name": "a" }] })
            }
            "prompts/list" => json!({ "prompts": [] }),
            "resources/templates/list" => json!({ "resourceTemplates": [] }),
            "tools/call" if params["name"] == "task" => {
                self.made += 1;
                let id = format!("job-{}", self.made);
                self.tasks
                    .insert(id.clone(), who.as_str().unwrap_or_default().to_owned());
                json!({ "task": { "taskId": id, "status": "working", "ttl": null }, "who": who })
            }
            "tools/call" => match params["arguments"].get("result") {
                Some(result) => result.clone(),
                None => json!({ "content": [], "who": who, "owner": key.owner().to_string() }),
            },
            "tasks/get" | "tasks/cancel" | "tasks/result" => {
                let id = params["taskId"].as_str().unwrap_or_default();
                let made_for = self.tasks.get(id)?;
                json!({ "taskId": id, "status": "working", "for": made_for, "ttl": null })
            }
            "tasks/list" => self.listed_tasks(),
            "resources/subscribe" => {
                let uri = params["uri"].as_str().unwrap_or_default().to_owned();
                let subscription = (key.clone(), uri);
                if params["uri"] != "mem://refused" && !self.subscribed.contains(&subscription) {
                    self.subscribed.push(subscription);
                }
                json!({})
            }
            "resources/unsubscribe" => {
                let uri = params["uri"].as_str().unwrap_or_default();
                self.subscribed
                    .retain(|(other, known)| other != key || known != uri);
                json!({})
            }
            "logging/setLevel" | "ping" => json!({}),
            "x/extension" => json!({ "who": who }),
            _ => return None,
        })
    }
}
