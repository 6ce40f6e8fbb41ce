//! A tool that runs only as a task, in the form of either era.

use serde_json::{Value, json};

use super::tools::Request;
use super::{Answer, Server};

const EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// A task that was created.
#[derive(Clone, Debug, Default)]
pub(super) struct Job {
    arguments: Value,
    polls: u64,
    answers: Option<Value>,
}

/// The requests that a task makes of its client.
fn requests() -> Value {
    json!({ "name": { "method": "elicitation/create", "params": { "message": "name" } } })
}

fn error(code: i32, message: &str, data: &Value) -> Answer {
    Answer::Error(json!({ "code": code, "message": message, "data": data }).to_string())
}

impl Server {
    /// Creates a task. It asks its client for a name, fails (`fail`) or never ends (`hang`).
    pub(super) fn job(&self, request: &Request, is_modern: bool) -> Answer {
        let params: Value = serde_json::from_str(&request.params).unwrap_or_default();
        let capabilities = &params["_meta"]["io.modelcontextprotocol/clientCapabilities"];
        if is_modern && !capabilities["extensions"][EXTENSION].is_object() {
            let required = json!({ "requiredCapabilities": { "extensions": { EXTENSION: {} } } });
            return error(-32021, "this tool is a task", &required);
        }
        if !is_modern && !params["task"].is_object() {
            return error(-32601, "this tool requires a task", &Value::Null);
        }
        let mut state = self.state();
        let id = format!("job-{}", state.jobs.len());
        let job = Job {
            arguments: params["arguments"].clone(),
            ..Job::default()
        };
        state.jobs.insert(id.clone(), job);
        drop(state);
        let now = "2026-01-01T00:00:00Z";
        Answer::Result(if is_modern {
            json!({
                "resultType": "task", "taskId": id, "status": "working", "createdAt": now,
                "lastUpdatedAt": now, "ttlMs": null, "pollIntervalMs": 50,
            })
            .to_string()
        } else {
            let task = json!({
                "taskId": id, "status": "working", "createdAt": now, "lastUpdatedAt": now,
                "ttl": null, "pollInterval": 50,
            });
            json!({ "task": task }).to_string()
        })
    }

    /// Answers a method on a task; `None` if it never answers.
    pub(super) async fn on_job(&self, request: &Request, method: &str) -> Option<Answer> {
        let params: Value = serde_json::from_str(&request.params).unwrap_or_default();
        let id = params["taskId"].as_str().unwrap_or_default().to_owned();
        let Some(job) = self.polled(&id) else {
            return Some(error(-32602, "no such task", &Value::Null));
        };
        Some(match method {
            "tasks/cancel" => {
                self.state().told.push(format!("cancelled {id}"));
                self.0.news.notify_waiters();
                Answer::Result(r#"{"resultType":"complete"}"#.to_owned())
            }
            "tasks/update" => {
                let answers = params["inputResponses"].clone();
                if let Some(job) = self.state().jobs.get_mut(&id) {
                    job.answers = Some(answers);
                }
                Answer::Result(r#"{"resultType":"complete"}"#.to_owned())
            }
            "tasks/get" => Answer::Result(job.state(&id).to_string()),
            _ => {
                if job.arguments["hang"] == true {
                    return std::future::pending().await;
                }
                if job.arguments["fail"] == true {
                    return Some(error(-32000, "the job failed", &Value::Null));
                }
                let related = json!({ "io.modelcontextprotocol/related-task": { "taskId": id } });
                let mut asked = requests();
                asked["name"]["params"]["_meta"] = related.clone();
                let answers = self.round_of(request, &asked).await;
                Answer::Result(
                    json!({ "content": [], "answers": answers, "_meta": related }).to_string(),
                )
            }
        })
    }

    fn polled(&self, id: &str) -> Option<Job> {
        let mut state = self.state();
        let job = state.jobs.get_mut(id)?;
        job.polls += 1;
        Some(job.clone())
    }
}

impl Job {
    fn state(&self, id: &str) -> Value {
        let mut state = json!({
            "resultType": "complete", "taskId": id, "createdAt": "2026-01-01T00:00:00Z",
            "lastUpdatedAt": "2026-01-01T00:00:00Z", "ttlMs": null, "pollIntervalMs": 50,
        });
        match &self.answers {
            _ if self.polls < 2 || self.arguments["hang"] == true => {
                state["status"] = "working".into();
            }
            _ if self.arguments["fail"] == true => {
                state["status"] = "failed".into();
                state["error"] = json!({ "code": -32000, "message": "the job failed" });
            }
            None => {
                state["status"] = "input_required".into();
                state["inputRequests"] = requests();
            }
            Some(answers) => {
                state["status"] = "completed".into();
                state["result"] =
                    json!({ "resultType": "complete", "content": [], "answers": answers });
            }
        }
        state
    }
}
