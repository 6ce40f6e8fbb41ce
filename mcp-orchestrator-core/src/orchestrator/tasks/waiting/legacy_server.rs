//! Tasks of legacy servers: `tasks/result` waits for the result, and carries the server's requests.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};

use super::{WaitingTask, without_task};
use crate::call::{Reply, ReplyItem};
use crate::error::Result;
use crate::jsonrpc::{Members, ResultHead, span_of, text};
use crate::orchestrator::forward::ForwardedRequest;
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::context::Context;
use crate::pool::Handle;
use crate::protocol::method;
use crate::router::Route;

impl Inner {
    pub(super) async fn task_of_legacy_server(
        self: &Arc<Self>,
        context: &Context,
        route: &Route<'_>,
        work: &ForwardedRequest<'_>,
    ) -> Result<(Reply, Arc<Handle>)> {
        let message = work.message;
        let mut edits = work.edits.clone();
        if let Some(params) = message.body() {
            let span = span_of(message.bytes(), params);
            edits.insert_member(message.bytes(), &span, "task", "{}");
        }
        let work = ForwardedRequest {
            edits,
            name: work.name.clone(),
            headers: work.headers.clone(),
            ..*work
        };
        let forwarded = self.forward(context, &route.server, &route.credential, &work);
        let (reply, handle) = forwarded.await?;
        let response = reply.response().await?;
        let created = ResultHead::read(response.body()).task;
        let created = created.and_then(|task| Members::read(task.get()));
        let id =
            created.and_then(|task| text(task.get("taskId")?).map(std::borrow::Cow::into_owned));
        let Some(id) = id else {
            return Ok((Reply::ready(response), handle));
        };
        let task = WaitingTask::begin(self, context, (message, Arc::clone(&handle)), id)?;
        let reply = task.send(method::TASKS_RESULT, "").await?;
        let items = stream::unfold(Some((reply, task)), |state| async move {
            let (mut reply, mut task) = state?;
            let item = without_task(reply.next().await?);
            let rest = match &item {
                ReplyItem::Response(_) => {
                    task.ended();
                    None
                }
                ReplyItem::Failed(_) => None,
                ReplyItem::Notification(_) | ReplyItem::Request(_) => Some((reply, task)),
            };
            Some((item, rest))
        });
        Ok((Reply::stream(items.boxed()), handle))
    }
}
