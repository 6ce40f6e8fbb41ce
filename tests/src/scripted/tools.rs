//! The tools of the scripted server. Each implements one behaviour.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::Future;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;

use super::{Answer, Out, Say, Server};

/// The tools with special behaviour; all others answer with their name.
pub(super) const NAMES: &[&str] = &[
    "echo",
    "raw",
    "blob",
    "hang",
    "progress",
    "gate",
    "crash",
    "flood",
    "stderr",
    "long",
    "noise",
    "env",
    "digest",
    "stats",
    "ask",
    "input",
    "locked",
    "change",
    "update",
    "sleep",
    "error",
    "late",
    "cut",
    "deaf",
    "log",
    "open",
    "write",
    "detach",
    "echo-with-a-name-that-is-longer-than-any-that-fits-beside-its-server",
];

/// A request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) id: String,
    pub(super) params: String,
    pub(super) call: Out,
    pub(super) general: Out,
}

#[derive(Deserialize)]
struct Call<'a> {
    name: String,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, rename = "_meta")]
    meta: Option<Meta<'a>>,
}

#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(borrow, rename = "progressToken")]
    token: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Arguments<'a> {
    n: u64,
    text: String,
    name: String,
    method: String,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    code: i64,
    later: bool,
}

impl Request {
    fn say(&self, text: String) {
        let _ = self.call.send(Say::Message(text.into()));
    }

    /// Reports progress if the request has a token.
    pub(super) fn progress_of(&self, params: &serde_json::Value, n: u64) {
        let token = &params["_meta"]["progressToken"];
        let token = (!token.is_null()).then(|| token.to_string());
        let token = token.and_then(|token| RawValue::from_string(token).ok());
        self.progress(token.as_deref(), n);
    }

    fn progress(&self, token: Option<&RawValue>, n: u64) {
        if let Some(token) = token {
            let token = token.get();
            self.say(format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{n},"x-unknown":[1]}}}}"#
            ));
        }
    }
}

/// The prompt `greet` and its completions, which echo their input.
pub(super) fn prompt(method: &str, params: &serde_json::Value, modern: bool) -> Answer {
    let name = match method {
        "prompts/get" => &params["name"],
        _ => &params["ref"]["name"],
    };
    if name != "greet" {
        let error = serde_json::json!({ "code": -32602, "message": format!("no prompt {name}") });
        return Answer::Error(error.to_string());
    }
    let members = if method == "prompts/get" {
        let text = serde_json::json!({ "type": "text", "text": params["arguments"]["who"] });
        format!(r#""messages":[{{"role":"user","content":{text}}}]"#)
    } else {
        let value = &params["argument"]["value"];
        format!(r#""completion":{{"values":[{value}],"hasMore":false}}"#)
    };
    Answer::Result(super::complete(&members, modern, false))
}

fn text(text: &str) -> Option<Answer> {
    let text = serde_json::Value::from(text);
    Some(Answer::Result(format!(
        r#"{{"content":[{{"type":"text","text":{text}}}]}}"#
    )))
}

impl Server {
    pub(super) async fn call(&self, request: &Request) -> Option<Answer> {
        let count = self.0.calls.fetch_add(1, Ordering::AcqRel) + 1;
        self.0.news.notify_waiters();
        if self.0.script.crash_at == Some(count) {
            crash("crashed as told", 3);
        }
        let call: Call<'_> = serde_json::from_str(&request.params).ok()?;
        let raw = call.arguments.map_or("{}", RawValue::get);
        let args: Arguments<'_> = serde_json::from_str(raw).unwrap_or_default();
        let token = call.meta.and_then(|meta| meta.token);
        match &call.name[..] {
            name if name.starts_with("echo") => Some(Answer::Result(format!(
                "{{\"x-first\":1,\"content\":[],\"echo\":{raw}}}"
            ))),
            "raw" => Some(Answer::Result(
                args.value.map_or("{}", RawValue::get).to_owned(),
            )),
            "blob" => text(&"x".repeat(usize::try_from(args.n).unwrap_or(0))),
            "hang" => {
                request.progress(token, 1);
                None
            }
            "progress" => {
                (1..=args.n).for_each(|n| request.progress(token, n));
                text("done")
            }
            "gate" => {
                request.progress(token, 1);
                self.gate(&args.name).await;
                request.progress(token, 2);
                text(&args.name)
            }
            "open" => {
                self.open(&args.name);
                text("opened")
            }
            "locked" => Some(self.locked(&args.name)),
            "crash" => crash(&args.text, i32::try_from(args.code).unwrap_or(1)),
            "error" => Some(Answer::Error(
                args.value.map_or("{}", RawValue::get).to_owned(),
            )),
            "sleep" => {
                tokio::time::sleep(Duration::from_millis(args.n)).await;
                text("slept")
            }
            other => self.tell(other, count, request, &args).await,
        }
    }

    /// Tools that send more than a response.
    async fn tell(
        &self,
        name: &str,
        count: u64,
        request: &Request,
        args: &Arguments<'_>,
    ) -> Option<Answer> {
        match name {
            "late" => {
                self.until_cancelled(&request.id).await;
                text("too late")
            }
            "change" => {
                self.set_tools(usize::try_from(args.n).unwrap_or(0));
                self.announce(request, "notifications/tools/list_changed", "{}");
                text("changed")
            }
            "update" => {
                let params = format!(r#"{{"uri":"{}"}}"#, args.text);
                self.announce(request, "notifications/resources/updated", &params);
                text("updated")
            }
            "log" => {
                let params = format!(r#"{{"level":"info","data":"{}"}}"#, args.text);
                self.announce(request, "notifications/message", &params);
                text("logged")
            }
            "ask" => self.ask(request, args).await,
            "cut" => {
                let _ = request.call.send(Say::Cut(format!("cut-{count}")));
                text("after the cut")
            }
            "env" => {
                let all: BTreeMap<_, _> = std::env::vars().collect();
                Some(Answer::Result(
                    serde_json::json!({ "content": [], "env": all }).to_string(),
                ))
            }
            "digest" => {
                let value = std::env::var(&args.name).unwrap_or_default();
                let digest = Sha256::digest(value)
                    .iter()
                    .fold(String::new(), |mut hex, byte| {
                        let _ = write!(hex, "{byte:02x}");
                        hex
                    });
                text(&digest)
            }
            "stats" => Some(Answer::Result(self.stats())),
            // Not listed, like all other names; answers with the `_meta` of its call.
            "meta" => {
                let params: serde_json::Value = serde_json::from_str(&request.params).ok()?;
                let result = serde_json::json!({ "content": [], "meta": params["_meta"] });
                Some(Answer::Result(result.to_string()))
            }
            other => self.disturb(other, request, args),
        }
    }

    /// Tools that disturb.
    fn disturb(&self, name: &str, request: &Request, args: &Arguments<'_>) -> Option<Answer> {
        match name {
            "flood" => {
                for n in 0..args.n {
                    request.say(format!(
                        r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"info","data":{n}}}}}"#
                    ));
                }
            }
            "stderr" => {
                use std::io::Write as _;
                let line = "e".repeat(200);
                for _ in 0..args.n {
                    let _ = writeln!(std::io::stderr(), "{line}");
                }
            }
            "write" => {
                super::hostile::write(request, &args.text);
                return None;
            }
            "detach" => super::hostile::detach(i32::try_from(args.code).unwrap_or(1)),
            "long" => {
                let size = usize::try_from(args.n).unwrap_or(0);
                return text(&"x".repeat(size));
            }
            "noise" => {
                let noise: Vec<u8> = (0..=255).cycle().take(4096).collect();
                let _ = request.call.send(Say::Raw(noise.into()));
                let _ = request
                    .call
                    .send(Say::Raw(b"\nnot json\n{\"a\":\n[]\n\n".as_slice().into()));
            }
            "deaf" => {
                // Stops reading and writing: the whole program blocks.
                loop {
                    std::thread::park();
                }
            }
            name if NAMES.contains(&name) || name.starts_with("tool-") => {}
            unknown => {
                let message = format!("no tool {unknown}");
                return Some(Answer::Error(
                    serde_json::json!({ "code": -32602, "message": message }).to_string(),
                ));
            }
        }
        text(name)
    }

    fn beside(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.state().beside.spawn(work);
    }

    async fn until_cancelled(&self, id: &str) {
        loop {
            let news = self.0.news.notified();
            if self.cancelled().iter().any(|cancelled| cancelled == id) {
                return;
            }
            news.await;
        }
    }

    async fn ask(&self, request: &Request, args: &Arguments<'_>) -> Option<Answer> {
        let id = format!("ask-{}", self.0.asked.fetch_add(1, Ordering::Relaxed));
        let (sender, receiver) = oneshot::channel();
        self.state().answers.insert(id.clone(), sender);
        let method = &args.method;
        let params = args.value.map_or("{}", RawValue::get);
        let message =
            format!(r#"{{"jsonrpc":"2.0","id":"{id}","method":"{method}","params":{params}}}"#);
        if args.later {
            // The response to this call is sent before the question.
            let (general, server) = (request.general.clone(), self.clone());
            let gate = args.name.clone();
            self.beside(async move {
                server.gate(&gate).await;
                let _ = general.send(Say::Message(message.into()));
                if let Ok(answer) = receiver.await {
                    server
                        .state()
                        .told
                        .push(String::from_utf8_lossy(&answer).into_owned());
                }
            });
            return text("later");
        }
        request.say(message);
        let answer = receiver.await.ok()?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        Some(Answer::Result(format!(
            "{{\"content\":[],\"answer\":{answer}}}"
        )))
    }

    fn stats(&self) -> String {
        let state = self.state();
        let first: Vec<serde_json::Value> = state
            .received
            .iter()
            .filter(|message| message.method == "initialize")
            .map(|message| serde_json::from_slice(&message.body).unwrap_or_default())
            .collect();
        let counts =
            state
                .received
                .iter()
                .fold(BTreeMap::<_, u64>::new(), |mut counts, message| {
                    *counts.entry(message.method.clone()).or_default() += 1;
                    counts
                });
        serde_json::json!({
            "content": [],
            "pid": std::process::id(),
            "calls": self.calls(),
            "cancelled": state.cancelled,
            "subscribed": state.subscribed,
            "told": state.told,
            "initialize": first,
            "counts": counts,
        })
        .to_string()
    }
}

#[expect(clippy::exit, reason = "to crash is what is asked")]
#[expect(clippy::print_stderr, reason = "its last words")]
fn crash(words: &str, code: i32) -> ! {
    eprintln!("{words}");
    std::process::exit(code)
}
