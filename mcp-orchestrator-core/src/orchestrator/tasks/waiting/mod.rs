//! Tools that a server runs only as a task, called by a client that did not ask for one: the gateway creates the task,
//! waits for it and returns its result as that of the call.
//!
//! Which tools these are is known from the server's error, so that no other call pays for it.

mod legacy_server;
mod modern_server;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::call::{Reply, ReplyItem, own};
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::{Kind, Members, Message, Splice, quote, request};
use crate::orchestrator::forward::{ForwardedRequest, timed_out};
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::concurrency::CountedCall;
use crate::orchestrator::state::context::Context;
use crate::pool::{Handle, Lease};
use crate::protocol::meta::RELATED_TASK;
use crate::protocol::{Era, code, meta, method};
use crate::router::Route;

/// Maximum time to cancel a task whose caller has left.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);

impl Inner {
    /// Repeats a rejected call as a task, if the server runs the tool only as one. Returns other replies unchanged.
    pub(crate) async fn as_task(
        self: &Arc<Self>,
        context: &Context,
        route: &Route<'_>,
        work: &ForwardedRequest<'_>,
        (reply, handle): (Reply, Arc<Handle>),
    ) -> Result<(Reply, Arc<Handle>)> {
        let response = match reply.into_ready() {
            Ok(response) => response,
            Err(stream) => return Ok((stream, handle)),
        };
        match self.task_demanded(context, work, &response, &handle).await {
            Some(Era::Legacy) => Box::pin(self.task_of_legacy_server(context, route, work)).await,
            Some(Era::Modern) => Box::pin(self.task_of_modern_server(context, route, work)).await,
            None => Ok((Reply::ready(response), handle)),
        }
    }

    /// Returns the era of the server if its error says that it runs the tool only as a task.
    async fn task_demanded(
        &self,
        context: &Context,
        work: &ForwardedRequest<'_>,
        response: &Message,
        handle: &Arc<Handle>,
    ) -> Option<Era> {
        let error = response.body().and_then(Members::read)?;
        let number = error.get("code")?.parse::<i32>().ok()?;
        let params = work.message.body().and_then(Members::read)?;
        if number == code::METHOD_NOT_FOUND && params.get("task").is_none() {
            let hello = handle.link.hello(&context.caller).await.ok()?;
            return (hello.era == Era::Legacy && offers_task_calls(&hello.result)?)
                .then_some(Era::Legacy);
        }
        let is_crossing = context.era() == Era::Legacy && handle.link.is_modern(&context.caller);
        let demands = number == code::MISSING_CAPABILITY && is_crossing;
        (demands && requires_tasks(&error)?).then_some(Era::Modern)
    }
}

/// Returns `true` if a legacy server declares that it runs tool calls as tasks.
fn offers_task_calls(hello: &[u8]) -> Option<bool> {
    let hello: serde_json::Value = serde_json::from_slice(hello).ok()?;
    Some(hello["capabilities"]["tasks"]["requests"]["tools"]["call"].is_object())
}

/// Returns `true` if an error demands the capability for tasks.
fn requires_tasks(error: &Members<'_>) -> Option<bool> {
    let data: serde_json::Value = serde_json::from_str(error.get("data")?).ok()?;
    Some(data["requiredCapabilities"]["extensions"][meta::TASKS_EXTENSION].is_object())
}

/// A task that the gateway waits for. It is cancelled if this is dropped before [`ended`](Self::ended).
struct WaitingTask {
    inner: Arc<Inner>,
    context: Context,
    handle: Arc<Handle>,
    id: String,
    /// The client's id of the call, as JSON.
    caller_id: String,
    deadline: Instant,
    has_ended: bool,
    /// Counts the task as a call in flight.
    in_flight: Option<CountedCall>,
}

impl WaitingTask {
    /// Begins to wait for a new task.
    ///
    /// # Errors
    /// [`Overloaded`](ErrorKind::Overloaded) if too many calls are in flight; the task is then cancelled.
    fn begin(
        inner: &Arc<Inner>,
        context: &Context,
        (message, handle): (&Message, Arc<Handle>),
        id: String,
    ) -> Result<Self> {
        let limit = handle.spec.server.limits.call_timeout;
        let begun = context.begun.unwrap_or_else(Instant::now);
        let mut task = Self {
            inner: Arc::clone(inner),
            context: Context {
                begun: None,
                progress: None,
                ..context.clone()
            },
            handle,
            id,
            caller_id: message.id().unwrap_or("null").to_owned(),
            deadline: begun + limit,
            has_ended: false,
            in_flight: None,
        };
        let server = task.handle.key.server();
        task.in_flight = inner.in_flight.enter(&context.principal.id, server)?;
        Ok(task)
    }

    /// Sends a request about the task; `params` are its other members, as JSON.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut) at the deadline of the call; otherwise as any request.
    async fn send(&self, method: &str, params: &str) -> Result<Reply> {
        let id = quote(&self.id);
        let params = format!(r#"{{"taskId":{id}{params}}}"#);
        let message = own(request(&self.caller_id, method, Some(&params)));
        let work = ForwardedRequest {
            name: Some(Cow::Borrowed(&self.id)),
            ..ForwardedRequest::plain(&message)
        };
        let server = self.handle.key.server();
        let lease = Lease::of(&self.handle).ok_or_else(|| {
            let text =
                format!("the instance of server {server} that ran the task of this call is gone");
            Error::new(ErrorKind::Unavailable, text).with_server(server)
        })?;
        let sent = self.inner.send(&self.context, lease, &work, self.deadline);
        match tokio::time::timeout_at(self.deadline, sent).await {
            Ok(sent) => Ok(sent?.0),
            Err(_) => {
                let limit = self.handle.spec.server.limits.call_timeout;
                Err(timed_out(server, limit))
            }
        }
    }

    fn ended(&mut self) {
        self.has_ended = true;
    }
}

impl Drop for WaitingTask {
    fn drop(&mut self) {
        if self.has_ended || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let task = Self {
            inner: Arc::clone(&self.inner),
            // The caller may have lost its rights, which is no reason to leave its task running.
            context: Context {
                as_of: None,
                ..self.context.clone()
            },
            handle: Arc::clone(&self.handle),
            id: std::mem::take(&mut self.id),
            caller_id: "0".to_owned(),
            deadline: Instant::now() + CANCEL_TIMEOUT,
            has_ended: true,
            in_flight: self.in_flight.take(),
        };
        self.inner.pool.tasks().spawn(async move {
            if let Err(error) = task.send(method::TASKS_CANCEL, "").await {
                tracing::debug!(server = %task.handle.key.server(), %error, "the task of an abandoned call was not cancelled");
            }
        });
    }
}

/// Returns a message without the metadata that relates it to the task, which its receiver does not know.
fn without_related_task(message: Message) -> Message {
    let body = message.body().and_then(Members::read).unwrap_or_default();
    let Some(meta) = body.get("_meta").and_then(Members::read) else {
        return message;
    };
    if meta.get(RELATED_TASK).is_none() {
        return message;
    }
    let mut splice = Splice::new();
    if meta.0.len() == 1 {
        splice.remove_members(message.bytes(), &body, |key| key == "_meta");
    } else {
        splice.remove_members(message.bytes(), &meta, |key| key == RELATED_TASK);
    }
    message.spliced(&splice)
}

/// Returns an item of the reply without what relates it to the task.
fn without_task(item: ReplyItem) -> ReplyItem {
    match item {
        ReplyItem::Response(message) if message.kind() == Kind::Response => {
            ReplyItem::Response(without_related_task(message))
        }
        ReplyItem::Notification(message) => ReplyItem::Notification(without_related_task(message)),
        ReplyItem::Request(mut request) => {
            request.message = without_related_task(request.message);
            ReplyItem::Request(request)
        }
        end => end,
    }
}
