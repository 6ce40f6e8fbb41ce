//! Tasks of modern servers: `tasks/get` is repeated until the task ends, and names what the server asks the client.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde_json::{Map, Value, json};

use super::WaitingTask;
use crate::call::{Reply, ReplyItem, own};
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::{Members, Message, quote, response, text};
use crate::limits::MAX_INPUT_ROUNDS;
use crate::orchestrator::forward::ForwardedRequest;
use crate::orchestrator::input::client_requests::ClientRequests;
use crate::orchestrator::input::requests::InputRequired;
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::context::Context;
use crate::pool::Handle;
use crate::protocol::{meta, method};
use crate::router::Route;
use crate::transport::ClientFacts;
use crate::transport::era::legacy_result;

/// Interval of `tasks/get` if the server names none.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// The shortest interval.
const MIN_POLL_INTERVAL: Duration = Duration::from_millis(50);
/// The longest interval.
const MAX_POLL_INTERVAL: Duration = Duration::from_secs(5);

impl Inner {
    pub(super) async fn task_of_modern_server(
        self: &Arc<Self>,
        context: &Context,
        route: &Route<'_>,
        work: &ForwardedRequest<'_>,
    ) -> Result<(Reply, Arc<Handle>)> {
        let context = declaring_tasks(context);
        let forwarded = self.forward(&context, &route.server, &route.credential, work);
        let (reply, handle) = forwarded.await?;
        let response = reply.response().await?;
        let created = response.body().and_then(Members::read).unwrap_or_default();
        let id = created.get("taskId").and_then(text);
        let Some(id) = id.filter(|_| created.get("resultType") == Some("\"task\"")) else {
            return Ok((Reply::ready(response), handle));
        };
        let waiting = (work.message, Arc::clone(&handle));
        let polled = PolledTask {
            task: WaitingTask::begin(self, &context, waiting, id.into_owned())?,
            answered: HashSet::new(),
            rounds: 0,
        };
        let state = Some((polled, Step::Poll(interval(&created))));
        let items = stream::unfold(state, |state| async move {
            let (polled, step) = state?;
            Some(polled.next(step).await)
        });
        Ok((Reply::stream(items.boxed()), handle))
    }
}

/// Returns the context with the tasks extension among the capabilities of its legacy client.
fn declaring_tasks(context: &Context) -> Context {
    let mut context = context.clone();
    if let Some((facts, _)) = &mut context.caller.client {
        let declared = serde_json::from_str(&facts.capabilities);
        let mut declared: Map<String, Value> = declared.unwrap_or_default();
        let extensions = declared.entry("extensions").or_insert_with(|| json!({}));
        if !extensions.is_object() {
            *extensions = json!({});
        }
        extensions[meta::TASKS_EXTENSION] = json!({});
        *facts = Arc::new(ClientFacts {
            capabilities: Value::Object(declared).to_string(),
            ..ClientFacts::clone(facts)
        });
    }
    context
}

fn interval(task: &Members<'_>) -> Duration {
    let named = task
        .get("pollIntervalMs")
        .and_then(|interval| interval.parse().ok());
    let named = named.map_or(POLL_INTERVAL, Duration::from_millis);
    named.clamp(MIN_POLL_INTERVAL, MAX_POLL_INTERVAL)
}

/// A task with the requests that its client has answered.
struct PolledTask {
    task: WaitingTask,
    /// The keys of requests that were answered.
    answered: HashSet<String>,
    rounds: usize,
}

enum Step {
    /// The state of the task is requested after this pause.
    Poll(Duration),
    /// Requests go to the client, and their answers to the server.
    Ask(ClientRequests),
}

type Next = (ReplyItem, Option<(PolledTask, Step)>);

impl PolledTask {
    async fn next(mut self, mut step: Step) -> Next {
        loop {
            let taken = match step {
                Step::Poll(pause) => {
                    tokio::time::sleep(pause).await;
                    self.poll().await
                }
                Step::Ask(mut requests) => {
                    if let Some(request) = requests.next_unsent() {
                        let item = ReplyItem::Request(request);
                        return (item, Some((self, Step::Ask(requests))));
                    }
                    self.answer(requests).await.map(Polled::Goes)
                }
            };
            step = match taken {
                Ok(Polled::Goes(next)) => next,
                Ok(Polled::Ended(response)) => {
                    self.task.ended();
                    return (ReplyItem::Response(response), None);
                }
                Err(error) => return (ReplyItem::Failed(error), None),
            };
        }
    }

    async fn poll(&mut self) -> Result<Polled> {
        let reply = self.task.send(method::TASKS_GET, "").await?;
        let state = reply.response().await?;
        let members = state.body().and_then(Members::read).unwrap_or_default();
        let status = members.get("status").and_then(text).unwrap_or_default();
        let caller = &self.task.caller_id;
        match &*status {
            "completed" => {
                let result = members.get("result").unwrap_or("{}");
                let result = legacy_result(own(response(caller, result)));
                Ok(Polled::Ended(result))
            }
            "failed" => {
                let error = members.get("error").unwrap_or(NO_ERROR);
                let text = format!(r#"{{"jsonrpc":"2.0","id":{caller},"error":{error}}}"#);
                let parsed = Message::parse(Bytes::from(text));
                let failed = parsed.map_err(|_| self.broken("its error is unreadable"))?;
                Ok(Polled::Ended(failed))
            }
            "cancelled" => {
                self.task.ended();
                let server = self.task.handle.key.server();
                let text = format!("the task of server {server} that runs this call was cancelled");
                Err(Error::new(ErrorKind::Cancelled, text).with_server(server))
            }
            "input_required" => self.ask(&members),
            "working" => Ok(Polled::Goes(Step::Poll(interval(&members)))),
            _ => Err(self.broken("it has an unknown status")),
        }
    }

    fn broken(&self, what: &str) -> Error {
        let server = self.task.handle.key.server();
        let text = format!("server {server} runs this call as a task, but {what}");
        Error::new(ErrorKind::Protocol, text).with_server(server)
    }

    /// Prepares the requests that were not answered yet.
    fn ask(&mut self, state: &Members<'_>) -> Result<Polled> {
        let mut input = InputRequired::read(state).map_err(|why| self.broken(&why))?;
        input
            .requests
            .retain(|request| !self.answered.contains(&request.key));
        if input.requests.is_empty() {
            return Ok(Polled::Goes(Step::Poll(interval(state))));
        }
        self.rounds += 1;
        if self.rounds > MAX_INPUT_ROUNDS {
            return Err(self.broken("it requires input too often"));
        }
        let origin = &self.task.handle.key;
        let (inner, context) = (&self.task.inner, &self.task.context);
        let requests = inner.client_requests(context, origin, &input)?;
        Ok(Polled::Goes(Step::Ask(requests)))
    }

    async fn answer(&mut self, requests: ClientRequests) -> Result<Step> {
        let wait = self.task.inner.input_wait;
        let answers = requests.answers(wait).await?;
        let members = answers
            .iter()
            .map(|(key, answer)| format!("{}:{answer}", quote(key)));
        let members = members.collect::<Vec<_>>().join(",");
        // The time that the client took does not count as the server's.
        self.task.deadline = self
            .task
            .deadline
            .max(tokio::time::Instant::now() + self.task.handle.spec.server.limits.call_timeout);
        let params = format!(r#","inputResponses":{{{members}}}"#);
        let reply = self.task.send(method::TASKS_UPDATE, &params).await?;
        drop(reply.response().await?);
        self.answered
            .extend(answers.into_iter().map(|(key, _)| key));
        Ok(Step::Poll(MIN_POLL_INTERVAL))
    }
}

enum Polled {
    Goes(Step),
    Ended(Message),
}

const NO_ERROR: &str = r#"{"code":-32603,"message":"the task failed"}"#;
