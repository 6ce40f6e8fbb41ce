//! Calls that need input of the client, in the form of either era.

use std::sync::atomic::Ordering;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use super::tools::Request;
use super::{Answer, Say, Script, Server};

/// The arguments of the tool `input`. The prompt and the resource of the same purpose use the default.
#[derive(Deserialize)]
#[serde(default)]
struct Input {
    /// The requests, as in `inputRequests`.
    requests: Map<String, Value>,
    /// How often they are sent.
    rounds: u64,
    /// A modern server returns only a state once before the first round.
    state_first: bool,
    /// The result of a legacy server says that the tool failed.
    fail: bool,
}

impl Default for Input {
    fn default() -> Self {
        let form = json!({
            "method": "elicitation/create",
            "params": { "message": "name", "requestedSchema": { "type": "object", "properties": {} } },
        });
        Self {
            requests: Map::from_iter([("name".to_owned(), form)]),
            rounds: 1,
            state_first: false,
            fail: false,
        }
    }
}

/// What a call with special behaviour is answered with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rest {
    /// Answers of the client, and these members.
    Input(&'static str),
    /// A new task.
    Job,
    /// The state of a task.
    OnJob,
}

/// Returns how a call with special behaviour is answered; `None` for any other call.
pub(super) fn rest_of(script: &Script, method: &str, params: &Value) -> Option<Rest> {
    Some(match method {
        "tools/call" if script.tasks && params["name"] == "job" => Rest::Job,
        "tasks/get" | "tasks/result" | "tasks/update" | "tasks/cancel" if script.tasks => {
            Rest::OnJob
        }
        "tools/call" if params["name"] == "input" => Rest::Input(r#""content":[]"#),
        "prompts/get" if params["name"] == "input" => Rest::Input(r#""messages":[]"#),
        "resources/read" if params["uri"] == "test://input" => Rest::Input(
            r#""contents":[{"uri":"test://input","text":"a"}],"ttlMs":0,"cacheScope":"private""#,
        ),
        _ => return None,
    })
}

impl Server {
    pub(super) async fn with_input(
        &self,
        request: &Request,
        method: &str,
        is_modern: bool,
        rest: Rest,
    ) -> Option<Answer> {
        match rest {
            Rest::Input(rest) => Some(self.input(request, is_modern, rest).await),
            Rest::Job => Some(self.job(request, is_modern)),
            Rest::OnJob => self.on_job(request, method).await,
        }
    }

    /// Carries out a call whose result contains the answers of each round.
    async fn input(&self, request: &Request, is_modern: bool, rest: &str) -> Answer {
        let params: Value = serde_json::from_str(&request.params).unwrap_or_default();
        let input: Input = serde_json::from_value(params["arguments"].clone()).unwrap_or_default();
        if is_modern {
            return modern(&input, &params, rest);
        }
        let mut rounds = Vec::new();
        for _ in 0..input.rounds {
            request.progress_of(&params, rounds.len() as u64 + 1);
            rounds.push(self.round(request, &input.requests).await);
        }
        request.progress_of(&params, 100);
        let fail = if input.fail { r#","isError":true"# } else { "" };
        Answer::Result(format!(r#"{{{rest}{fail},"rounds":{}}}"#, json!(rounds)))
    }

    /// Sends all requests at once and returns the answers.
    pub(super) async fn round_of(&self, request: &Request, requests: &Value) -> Value {
        match requests {
            Value::Object(requests) => self.round(request, requests).await,
            _ => Value::Null,
        }
    }

    async fn round(&self, request: &Request, requests: &Map<String, Value>) -> Value {
        let mut answers = Vec::new();
        for (key, asked) in requests {
            let id = format!("ask-{}", self.0.asked.fetch_add(1, Ordering::Relaxed));
            let (sender, receiver) = oneshot::channel();
            self.state().answers.insert(id.clone(), sender);
            let mut message = asked.clone();
            message["jsonrpc"] = "2.0".into();
            message["id"] = id.into();
            let _ = request.call.send(Say::Message(message.to_string().into()));
            answers.push((key, receiver));
        }
        let mut round = Map::new();
        for (key, answer) in answers {
            let answer = answer.await.unwrap_or_default();
            let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
            let result = answer.get("result").unwrap_or(&answer["error"]).clone();
            round.insert(key.clone(), result);
        }
        round.into()
    }

    /// Requires the client to open an address at the first call with these arguments.
    pub(super) fn locked(&self, name: &str) -> Answer {
        if !self.state().gates.insert(name.to_owned()) {
            return Answer::Result(r#"{"content":[],"unlocked":true}"#.to_owned());
        }
        let asked = json!({
            "mode": "url", "elicitationId": "e-1", "message": "sign in", "url": "https://example.com/sign-in",
        });
        let error = json!({ "code": -32042, "message": "sign in first", "data": { "elicitations": [asked] } });
        Answer::Error(error.to_string())
    }
}

/// The state is the answers so far, so that a change of it shows in the result.
fn modern(input: &Input, params: &Value, rest: &str) -> Answer {
    let state = params["requestState"].as_str().map(str::to_owned);
    let mut rounds: Vec<Value> = match state.as_deref() {
        None | Some("first") => Vec::new(),
        Some(state) => match serde_json::from_str(state) {
            Ok(rounds) => rounds,
            Err(_) => {
                let error = json!({ "code": -32602, "message": "requestState is not ours" });
                return Answer::Error(error.to_string());
            }
        },
    };
    if input.state_first && state.is_none() {
        let result = r#"{"resultType":"input_required","requestState":"first"}"#;
        return Answer::Result(result.to_owned());
    }
    if let Some(answers) = params.get("inputResponses") {
        rounds.push(answers.clone());
    }
    if (rounds.len() as u64) < input.rounds {
        let result = json!({
            "resultType": "input_required",
            "inputRequests": input.requests,
            "requestState": json!(rounds).to_string(),
        });
        return Answer::Result(result.to_string());
    }
    Answer::Result(format!(
        r#"{{"resultType":"complete",{rest},"rounds":{},"capabilities":{}}}"#,
        json!(rounds),
        params["_meta"]["io.modelcontextprotocol/clientCapabilities"],
    ))
}
