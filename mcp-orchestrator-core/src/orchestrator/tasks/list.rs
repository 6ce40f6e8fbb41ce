//! Answers `tasks/list` with what the servers report about the caller's known tasks.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::seal::Hearer;
use crate::call::{Reply, own};
use crate::catalog::ask;
use crate::error::Result;
use crate::jsonrpc::{Members, Message, Splice, quote, request, response, span_of, text};
use crate::limits::MAX_TASK_PAGES;
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::context::Context;
use crate::pool::{Caller, Handle, Lease};
use crate::protocol::{Era, method};

impl Inner {
    /// Lists the tasks that are known to belong to this principal.
    pub(crate) async fn list_tasks(
        self: &Arc<Self>,
        context: &Context,
        message: &Message,
    ) -> Result<Reply> {
        let mut tasks: Vec<String> = Vec::new();
        for handle in self.pool.handles() {
            let hearer = Hearer::of(context, &handle);
            let place = hearer.place("");
            let ids = self
                .tasks
                .ids(&handle.key, place.conversation, &hearer.principal);
            if !ids.is_empty() && self.right_to(context, &handle.key).await.holds() {
                tasks.extend(self.tasks_of(context, &handle, &ids).await);
            }
        }
        let result = format!("{{\"tasks\":[{}]}}", tasks.join(","));
        Ok(Reply::ready(own(response(
            message.id().unwrap_or("null"),
            &result,
        ))))
    }

    async fn tasks_of(
        &self,
        context: &Context,
        handle: &Arc<Handle>,
        ids: &HashMap<Arc<str>, Arc<str>>,
    ) -> Vec<String> {
        let (Some(lease), mut found, mut cursor) = (Lease::of(handle), Vec::new(), None::<String>)
        else {
            return Vec::new();
        };
        let caller = match handle.link.hello(&Caller::engine(Era::Modern)).await {
            Ok(hello) if hello.era == Era::Legacy => &context.caller,
            _ => return found,
        };
        for page in 0..MAX_TASK_PAGES {
            let params = cursor
                .as_ref()
                .map(|cursor| format!("{{\"cursor\":{}}}", quote(cursor)));
            let message = own(request(
                &format!("\"tasks-{page}\""),
                method::TASKS_LIST,
                params.as_deref(),
            ));
            let Ok(response) = ask(&lease, caller, message).await else {
                return found;
            };
            let members = response.body().and_then(Members::read).unwrap_or_default();
            let tasks: Vec<&serde_json::value::RawValue> = members
                .get("tasks")
                .and_then(|list| serde_json::from_str(list).ok())
                .unwrap_or_default();
            found.extend(tasks.iter().filter_map(|task| theirs(task.get(), ids)));
            let next = members
                .get("nextCursor")
                .and_then(text)
                .map(Cow::into_owned);
            if next.is_none() || next == cursor || found.len() >= ids.len() {
                break;
            }
            cursor = next;
        }
        found
    }
}

/// Returns a task with its sealed id, or `None` if it is not one of the caller's.
fn theirs(task: &str, ids: &HashMap<Arc<str>, Arc<str>>) -> Option<String> {
    let fields = Members::read(task)?;
    let raw = fields.get("taskId")?;
    let sealed = ids.get(&*text(raw)?)?;
    let whole = bytes::Bytes::copy_from_slice(task.as_bytes());
    let mut splice = Splice::new();
    splice.replace(span_of(task.as_bytes(), raw), quote(sealed));
    Some(String::from_utf8_lossy(&splice.apply(&whole)).into_owned())
}
