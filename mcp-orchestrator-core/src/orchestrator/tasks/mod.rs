//! Tasks: their ids travel sealed, so that each finds its instance again and nobody reads another's.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use memchr::memmem::Finder;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::Inner;
use super::calls::{missing, params};
use super::context::Context;
use super::forward::Work;
use super::task_words::{declares_tasks, gone, is_end, no_tasks, task_ids};
use crate::call::{Reply, ReplyItem, own};
use crate::catalog::ask;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{PrincipalId, ServerId};
use crate::jsonrpc::{Members, Message, Splice, quote, request, response, span_of, text};
use crate::pool::{Caller, Handle, Lease};
use crate::protocol::{Era, method};
use crate::runtime::InstanceKey;
use crate::server::Launch;
use crate::transport::Party;

/// Made once: making it costs more than looking through a short result.
static TASK_ID: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new("\"taskId\""));
const LABEL: &str = "task id";
/// Tasks that are remembered; older ones are still found by their ids.
const REMEMBERED: usize = 10_000;
/// Pages of one server's tasks/list.
const PAGES: usize = 100;

/// What a sealed id says.
#[derive(Serialize, Deserialize)]
struct Sealed {
    /// The server.
    s: ServerId,
    /// The instance's public name.
    n: String,
    /// The task's own id.
    t: String,
}

/// Tasks whose end was not fetched yet.
#[derive(Debug, Default)]
pub(super) struct Tasks(Mutex<HashMap<(InstanceKey, String), Known>>);

#[derive(Debug)]
struct Known {
    principal: PrincipalId,
    sealed: String,
    until: Instant,
}

impl Tasks {
    fn lock(&self) -> MutexGuard<'_, HashMap<(InstanceKey, String), Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a task keeps this instance awake.
    pub(super) fn holds(&self, key: &InstanceKey) -> bool {
        let now = Instant::now();
        let mut all = self.lock();
        all.retain(|_, known| known.until > now);
        all.keys().any(|(other, _)| other == key)
    }

    fn sealed(&self, key: &InstanceKey, id: &str) -> Option<(PrincipalId, String)> {
        let all = self.lock();
        all.get(&(key.clone(), id.to_owned()))
            .map(|known| (known.principal.clone(), known.sealed.clone()))
    }
}

impl Inner {
    /// Seals every task id of a message for this principal.
    pub(super) fn seal_tasks(
        &self,
        key: &InstanceKey,
        principal: &PrincipalId,
        message: Message,
    ) -> Message {
        let Some(body) = message.body() else {
            return message;
        };
        if TASK_ID.find(body.as_bytes()).is_none() {
            return message;
        }
        let mut splice = Splice::new();
        for (raw, task) in task_ids(body) {
            if let Some(id) = text(raw) {
                let sealed = self.seal_task(key, principal, &id, &task);
                splice.replace(span_of(message.bytes(), raw), quote(&sealed));
            }
        }
        message.spliced(&splice)
    }

    fn seal_task(
        &self,
        key: &InstanceKey,
        principal: &PrincipalId,
        id: &str,
        task: &Members<'_>,
    ) -> String {
        let ended = task
            .get("status")
            .and_then(text)
            .is_some_and(|status| is_end(&status));
        let place = (key.clone(), id.to_owned());
        let mut all = self.tasks.lock();
        if let Some(known) = all.get(&place) {
            let sealed = known.sealed.clone();
            if ended {
                all.remove(&place);
            }
            return sealed;
        }
        let plain = Sealed {
            s: key.server().clone(),
            n: key.name().to_owned(),
            t: id.to_owned(),
        };
        let plain = serde_json::to_vec(&plain).unwrap_or_default();
        let context = principal.as_str().as_bytes();
        let sealed = self.key.seal_same(LABEL, context, &plain);
        if !ended && all.len() < REMEMBERED {
            let until = Instant::now() + self.task_ttl(key.server(), task);
            all.insert(
                place,
                Known {
                    principal: principal.clone(),
                    sealed: sealed.clone(),
                    until,
                },
            );
        }
        sealed
    }

    fn task_ttl(&self, server: &ServerId, task: &Members<'_>) -> Duration {
        let most = self
            .spec(server)
            .map_or(Duration::ZERO, |spec| spec.server.limits.task_ttl_max);
        let asked = ["ttlMs", "ttl"]
            .iter()
            .find_map(|key| task.get(key)?.parse().ok())
            .map(Duration::from_millis);
        asked.map_or(most, |asked| asked.min(most))
    }

    /// A method on one task goes to the instance in its id.
    pub(super) async fn task(
        self: &Arc<Self>,
        context: &Context,
        message: Message,
    ) -> Result<Reply> {
        let raw = params(&message)?
            .task_id
            .ok_or_else(|| missing("taskId"))?
            .get();
        let given = text(raw).ok_or_else(|| missing("taskId"))?.into_owned();
        if context.era() == Era::Modern && !declares_tasks(&message) {
            return Err(no_tasks());
        }
        let opened = self
            .key
            .open(LABEL, context.principal.id.as_str().as_bytes(), &given);
        let sealed: Option<Sealed> = opened.and_then(|plain| serde_json::from_slice(&plain).ok());
        let Some(sealed) = sealed else {
            return Err(Error::new(ErrorKind::InvalidParams, "unknown task"));
        };
        // The task's server must still be one that the caller may use.
        let view = self.view(context)?;
        let Some(entry) = view.entries.iter().find(|entry| entry.server == sealed.s) else {
            return Err(Error::new(ErrorKind::InvalidParams, "unknown task"));
        };
        let Some(lease) = self.task_lease(context, entry, &sealed).await else {
            return gone(context, &message, &given, &sealed.s);
        };
        let key = lease.key.clone();
        let mut work = Work {
            name: Some(Cow::Borrowed(&sealed.t)),
            ..Work::plain(&message)
        };
        work.edits
            .replace(span_of(message.bytes(), raw), quote(&sealed.t));
        let limit = lease.spec.server.limits.call_timeout;
        let deadline = Instant::now() + limit;
        let (reply, _) =
            tokio::time::timeout_at(deadline, self.send(context, lease, &work, deadline))
                .await
                .map_err(|_| super::forward::timed_out(&sealed.s, limit))??;
        if message.method() == method::TASKS_RESULT {
            self.tasks.lock().remove(&(key.clone(), sealed.t.clone()));
        }
        let inner = Arc::clone(self);
        let principal = context.principal.id.clone();
        Ok(match reply.into_ready() {
            Ok(response) => Reply::ready(inner.seal_tasks(&key, &principal, response)),
            Err(stream) => {
                let seal = move |item| match item {
                    ReplyItem::Response(message) => {
                        ReplyItem::Response(inner.seal_tasks(&key, &principal, message))
                    }
                    ReplyItem::Notification(message) => {
                        ReplyItem::Notification(inner.seal_tasks(&key, &principal, message))
                    }
                    other => other,
                };
                Reply::stream(stream.map(seal).boxed())
            }
        })
    }

    /// The instance of a task, where it still runs. Nothing is started, but a remote server needs no start.
    async fn task_lease(
        self: &Arc<Self>,
        context: &Context,
        entry: &crate::router::ViewEntry,
        sealed: &Sealed,
    ) -> Option<Lease> {
        let running = self
            .pool
            .handles()
            .into_iter()
            .find(|handle| handle.key.name() == sealed.n);
        if let Some(handle) = running {
            return Lease::of(&handle);
        }
        let spec = self.spec(&entry.server).ok()?;
        if !matches!(spec.server.launch, Launch::Remote(_)) {
            return None;
        }
        let credential = self
            .credential(context, &spec, &entry.credential, None)
            .await
            .ok()?;
        let scope = context.scope(&spec.server);
        let progress = crate::runtime::Progress::unheard();
        let lease = self
            .pool
            .acquire(&entry.server, &credential, scope, &progress)
            .await
            .ok()?;
        (lease.key.name() == sealed.n).then_some(lease)
    }

    /// The tasks that are known to be this principal's.
    pub(super) async fn list_tasks(
        self: &Arc<Self>,
        context: &Context,
        message: &Message,
    ) -> Result<Reply> {
        let mine: Vec<(InstanceKey, String)> = {
            let all = self.tasks.lock();
            let mine = all
                .iter()
                .filter(|(_, known)| known.principal == context.principal.id);
            mine.map(|((key, id), _)| (key.clone(), id.clone()))
                .collect()
        };
        let mut tasks: Vec<String> = Vec::new();
        for handle in self.pool.handles() {
            let ids: Vec<&str> = mine
                .iter()
                .filter(|(key, _)| *key == handle.key)
                .map(|(_, id)| id.as_str())
                .collect();
            if !ids.is_empty() {
                tasks.extend(self.tasks_of(context, &handle, &ids).await);
            }
        }
        let result = format!("{{\"tasks\":[{}]}}", tasks.join(","));
        Ok(Reply::ready(own(response(
            message.id().unwrap_or("null"),
            &result,
        ))))
    }

    async fn tasks_of(&self, context: &Context, handle: &Arc<Handle>, ids: &[&str]) -> Vec<String> {
        let (Some(lease), mut found, mut cursor) = (Lease::of(handle), Vec::new(), None::<String>)
        else {
            return Vec::new();
        };
        let caller = match handle.link.hello(&Caller::engine(Era::Modern)).await {
            Ok(hello) if hello.era == Era::Legacy => &context.caller,
            _ => return found,
        };
        for page in 0..PAGES {
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
            for task in tasks {
                let fields = Members::read(task.get()).unwrap_or_default();
                let Some(raw) = fields.get("taskId") else {
                    continue;
                };
                let Some(id) = text(raw).filter(|id| ids.contains(&&**id)) else {
                    continue;
                };
                let sealed = self.seal_task(&handle.key, &context.principal.id, &id, &fields);
                let mut splice = Splice::new();
                let whole = bytes::Bytes::copy_from_slice(task.get().as_bytes());
                splice.replace(span_of(task.get().as_bytes(), raw), quote(&sealed));
                found.push(String::from_utf8_lossy(&splice.apply(&whole)).into_owned());
            }
            cursor = members
                .get("nextCursor")
                .and_then(text)
                .map(Cow::into_owned);
            if cursor.is_none() {
                break;
            }
        }
        found
    }

    /// A task's news go to those whose task it is.
    pub(super) fn task_status(
        &self,
        handle: &Arc<Handle>,
        party: Option<Party>,
        message: &Message,
    ) {
        let body = message.body().unwrap_or("{}");
        let ids = task_ids(body);
        let Some(id) = ids.first().and_then(|(raw, _)| text(raw)) else {
            return;
        };
        let Some((principal, _)) = self.tasks.sealed(&handle.key, &id) else {
            return;
        };
        let sealed = self.seal_tasks(&handle.key, &principal, message.clone());
        if let Some(session) = party.and_then(|party| self.session_of(party)) {
            return session.push(ReplyItem::Notification(sealed));
        }
        for session in self.sessions.all() {
            if session.principal.id == principal {
                session.push(ReplyItem::Notification(sealed.clone()));
            }
        }
        for listener in self.listeners.all() {
            if listener.principal.id == principal && listener.tasks {
                listener.send(&sealed);
            }
        }
    }
}
