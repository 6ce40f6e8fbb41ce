//! Answers `tasks/list` with what the servers report about the caller's known tasks.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, timeout_at};

use super::seal::SealScope;
use crate::call::{Reply, own};
use crate::catalog::ask_for;
use crate::error::Result;
use crate::jsonrpc::{Members, Message, Splice, quote, request, response, span_of, text};
use crate::limits::{
    MAX_CURSOR_LEN, MAX_INLINE_PAGE_BYTES, MAX_ITEM_BYTES, MAX_LIST_BYTES, MAX_LIST_STARTS,
    MAX_TASK_PAGES,
};
use crate::orchestrator::authority::{AllowedBy, SendCheck};
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::context::Context;
use crate::pool::{Caller, Handle, Lease};
use crate::protocol::{Era, method};

/// The ids of a caller's tasks at one instance, each with its sealed id.
type Sealed = HashMap<Arc<str>, Arc<str>>;

impl Inner {
    /// Lists the tasks that are known to belong to this principal.
    pub(crate) async fn list_tasks(
        self: &Arc<Self>,
        context: &Context,
        message: &Message,
    ) -> Result<Reply> {
        let mut known = Vec::new();
        for handle in self.pool.handles() {
            let seal_scope = SealScope::of(context, &handle);
            let place = seal_scope.place("");
            let ids = self
                .tasks
                .ids(&handle.key, place.conversation, &seal_scope.principal);
            if !ids.is_empty() {
                known.push((handle, ids));
            }
        }
        let servers = known.iter().map(|(handle, _)| handle.key.server());
        let _counts = self.in_flight.enter_all(&context.principal.id, servers)?;
        let asked = known.into_iter().map(|known| self.tasks_of(context, known));
        let asked: Vec<_> = asked.collect();
        let mut asked = stream::iter(asked).buffered(MAX_LIST_STARTS);
        let mut tasks = String::new();
        while let Some(found) = asked.next().await {
            for task in found {
                if tasks.len() + task.len() > MAX_LIST_BYTES {
                    break;
                }
                if !tasks.is_empty() {
                    tasks.push(',');
                }
                tasks.push_str(&task);
            }
        }
        Ok(Reply::ready(own(response(
            message.id().unwrap_or("null"),
            &format!("{{\"tasks\":[{tasks}]}}"),
        ))))
    }

    /// Returns what one server reports within its `list_timeout`.
    async fn tasks_of(
        &self,
        context: &Context,
        (handle, ids): (Arc<Handle>, Sealed),
    ) -> Vec<String> {
        let until = Instant::now() + handle.spec.server.limits.list_timeout;
        let mut search = Some(Search {
            left: ids,
            found: Vec::new(),
            len: 0,
            omitted: 0,
        });
        let searching = self.search(context, &handle, &mut search);
        if timeout_at(until, searching).await.is_err() {
            tracing::debug!(server = %handle.key.server(), "the server did not list all tasks in time");
        }
        let Some(Search { found, omitted, .. }) = search else {
            return Vec::new();
        };
        if omitted > 0 {
            tracing::warn!(server = %handle.key.server(), omitted, "tasks were left out of the list: they are larger than {MAX_ITEM_BYTES} bytes");
        }
        found
    }

    async fn search(&self, context: &Context, handle: &Arc<Handle>, search: &mut Option<Search>) {
        let as_of = self.rights.now();
        let check = SendCheck::new(self, context, &handle.key, AllowedBy::Instance, as_of);
        if !self.right_to(context, &handle.key).await.holds() {
            return;
        }
        let Some(lease) = Lease::of(handle) else {
            return;
        };
        let caller = match handle.link.hello(&Caller::engine(Era::Modern)).await {
            Ok(hello) if hello.era == Era::Legacy => &context.caller,
            _ => return,
        };
        let mut cursor = None::<String>;
        for page in 0..MAX_TASK_PAGES {
            let params = cursor
                .as_ref()
                .map(|cursor| format!("{{\"cursor\":{}}}", quote(cursor)));
            let message = own(request(
                &format!("\"tasks-{page}\""),
                method::TASKS_LIST,
                params.as_deref(),
            ));
            let Ok(response) = ask_for(&lease, caller, message, Some(&check)).await else {
                return;
            };
            let next = read(response, search).await;
            if next.is_none() || next == cursor {
                return;
            }
            cursor = next;
        }
    }
}

/// The search for the caller's tasks in the list of a server.
struct Search {
    /// The tasks that are not found yet.
    left: Sealed,
    found: Vec<String>,
    /// Length of all found tasks.
    len: usize,
    /// The number of tasks that are too large.
    omitted: usize,
}

/// Reads a page and returns the cursor of the next one. A large page is read on a blocking thread, so that it does not
/// delay other tasks.
async fn read(response: Message, search: &mut Option<Search>) -> Option<String> {
    let mut searching = search.take()?;
    let is_large = response
        .body()
        .is_some_and(|body| body.len() > MAX_INLINE_PAGE_BYTES);
    let work = move || {
        let next = searching.page(response.body().unwrap_or("null"));
        (searching, next)
    };
    let (searched, next) = if is_large {
        tokio::task::spawn_blocking(work).await.ok()?
    } else {
        work()
    };
    *search = Some(searched);
    next
}

impl Search {
    /// Returns the cursor of the next page if it may have more.
    fn page(&mut self, body: &str) -> Option<String> {
        let members = Members::read(body).unwrap_or_default();
        let tasks: Vec<&serde_json::value::RawValue> = members
            .get("tasks")
            .and_then(|list| serde_json::from_str(list).ok())
            .unwrap_or_default();
        for task in tasks {
            let task = task.get();
            if task.len() > MAX_ITEM_BYTES {
                self.omitted += 1;
                continue;
            }
            if self.len + task.len() > MAX_LIST_BYTES {
                return None;
            }
            if let Some(theirs) = self.theirs(task) {
                self.len += theirs.len();
                self.found.push(theirs);
            }
        }
        let next = members.get("nextCursor").and_then(text);
        let next = next.map(Cow::into_owned);
        next.filter(|next| next.len() <= MAX_CURSOR_LEN && !self.left.is_empty())
    }

    /// Returns a task with its sealed id, or `None` if it is not one of the caller's that is still searched.
    fn theirs(&mut self, task: &str) -> Option<String> {
        let fields = Members::read(task)?;
        let raw = fields.get("taskId")?;
        let sealed = self.left.remove(&*text(raw)?)?;
        let whole = bytes::Bytes::copy_from_slice(task.as_bytes());
        let mut splice = Splice::new();
        splice.replace(span_of(task.as_bytes(), raw), quote(&sealed));
        Some(String::from_utf8_lossy(&splice.apply(&whole)).into_owned())
    }
}
