//! Tasks. Their ids are sealed, so that each leads back to its instance and no caller can use another's.

mod list;
mod messages;
mod related;
mod seal;
mod waiting;

use std::borrow::Cow;
use std::sync::Arc;

use futures_util::StreamExt as _;
use tokio::time::Instant;

pub(super) use self::messages::TaskCreation;
use self::messages::{Ids, declares_tasks, gone, no_tasks};
use self::seal::Sealed;
pub(super) use self::seal::{SealScope, TASK_ID};
use super::authority::Right;
use super::forward::ForwardedRequest;
use super::params::{missing, params};
use super::state::Inner;
use super::state::concurrency::counted;
use super::state::context::Context;
use super::state::tasks;
use crate::call::{Reply, ReplyItem};
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::{Message, quote, span_of, text};
use crate::pool::{Handle, Lease};
use crate::protocol::{Era, method};
use crate::runtime::Scope;
use crate::server::Launch;
use crate::session::Session;
use crate::transport::Party;

impl SealScope {
    /// Returns the receiver of this instance's task messages in the calls of this context.
    pub(super) fn of(context: &Context, handle: &Arc<Handle>) -> Self {
        Self {
            principal: context.principal.id.clone(),
            handle: Arc::clone(handle),
            party: context.caller.party,
            session: context.session.clone(),
        }
    }

    /// Remembers the URLs that an error of the instance asks the caller to open.
    pub(super) fn note_elicitations(&self, error: &Message) {
        if let Some(session) = &self.session {
            session.note_elicitations(&self.handle.key, error);
        }
    }
}

impl Inner {
    /// Forwards a method on a task to the instance in its id, if a call of the caller would go there now.
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
        let sealed = self.unsealed(&context.principal.id, &given);
        let sealed = sealed.ok_or_else(unknown)?;
        // The caller must still be allowed to use the task's server.
        let view = self.view(context)?;
        if !view.entries.iter().any(|entry| entry.server == sealed.s) {
            return Err(unknown());
        }
        let counts = self.in_flight.enter(&context.principal.id, &sealed.s)?;
        let context = self.in_conversation(context, &sealed);
        let Some(lease) = self.task_lease(&context, &sealed).await? else {
            return gone(&context, &message, &given, &sealed.s);
        };
        let seal_scope = SealScope::of(&context, lease.handle());
        if !self.is_theirs(&seal_scope, &sealed, &given) {
            return Err(unknown());
        }
        let mut work = ForwardedRequest {
            name: Some(Cow::Borrowed(&sealed.t)),
            ..ForwardedRequest::plain(&message)
        };
        work.edits
            .replace(span_of(message.bytes(), raw), quote(&sealed.t));
        let limit = lease.spec.server.limits.call_timeout;
        let deadline = Instant::now() + limit;
        let (reply, _) =
            tokio::time::timeout_at(deadline, self.send(&context, lease, &work, deadline))
                .await
                .map_err(|_| super::forward::timed_out(&sealed.s, limit))??;
        let answered = Answered {
            inner: Arc::clone(self),
            seal_scope,
            own: sealed.t,
            given,
            is_result: message.method() == method::TASKS_RESULT,
        };
        Ok(counted(answered.reply(reply), counts))
    }

    /// Returns the context for the connection that a task belongs to: while that session exists, other sessions of the
    /// principal use it.
    fn in_conversation(&self, context: &Context, sealed: &Sealed) -> Context {
        let Some(tag) = &sealed.c else {
            return context.clone();
        };
        let scope = Scope::Session(tag.as_str().into());
        let is_it = |session: &Arc<Session>| {
            session.scope == scope && session.principal.id == context.principal.id
        };
        let own = context.session.as_ref().is_some_and(is_it);
        let other = if own {
            None
        } else {
            self.sessions.all().into_iter().find(is_it)
        };
        match other {
            Some(session) => Context {
                caller: session.caller(),
                session: Some(session),
                ..context.clone()
            },
            None => context.clone(),
        }
    }

    /// Returns `true` if an id belongs to this caller, as far as is known.
    fn is_theirs(&self, seal_scope: &SealScope, sealed: &Sealed, given: &str) -> bool {
        // Without an entry, as after a restart, the seal itself proves it.
        self.tasks
            .get(&seal_scope.place(&sealed.t))
            .is_none_or(|known| known.is_of(&seal_scope.principal) && *known.sealed == *given)
    }

    /// Returns a lease on the instance of a task if it is still running. Starts nothing; a remote server needs no
    /// start.
    async fn task_lease(
        self: &Arc<Self>,
        context: &Context,
        sealed: &Sealed,
    ) -> Result<Option<Lease>> {
        let mut handles = self.pool.handles().into_iter();
        let running = handles.find(|handle| handle.key.name() == sealed.n);
        if let Some(handle) = running {
            let Right::Holds(credential) = self.right_to(context, &handle.key).await else {
                return Err(unknown());
            };
            context.goes_to(&handle.spec, Some(&credential));
            return Ok(Lease::of(&handle));
        }
        let spec = self.spec(&sealed.s)?;
        if !matches!(spec.server.launch, Launch::Remote(_)) {
            return Ok(None);
        }
        let view = self.view(context)?;
        for entry in view.entries.iter().filter(|entry| entry.server == sealed.s) {
            let found = self.credential(context, &spec, &entry.credential, None);
            let Ok(credential) = found.await else {
                continue;
            };
            let scope = context.scope(&spec.server);
            let progress = crate::runtime::Progress::unheard();
            let acquired = self.pool.acquire(&sealed.s, &credential, scope, &progress);
            if let Ok(lease) = acquired.await
                && lease.key.name() == sealed.n
            {
                context.goes_to(&spec, Some(&credential));
                return Ok(Some(lease));
            }
        }
        Ok(None)
    }

    /// Delivers a task's status notification to the principal that owns the task.
    pub(super) fn task_status(
        &self,
        handle: &Arc<Handle>,
        party: Option<Party>,
        message: &Message,
    ) {
        let ids = Ids::read(message.body().unwrap_or("{}"));
        let id = ids.top.or(ids.task).or(ids.related).and_then(text);
        let Some(id) = id else { return };
        let session = party.and_then(|party| self.session_of(party));
        let place = tasks::Place {
            key: handle.key.clone(),
            conversation: handle.link.conversation(party.unwrap_or_default()),
            id: id.as_ref().into(),
        };
        let Some(principal) = self.tasks.get(&place).and_then(|known| known.principal) else {
            return;
        };
        let seal_scope = SealScope {
            principal: principal.clone(),
            handle: Arc::clone(handle),
            party: place.conversation,
            session: session.clone(),
        };
        let sealed = self.seal_known(&seal_scope, None, message.clone());
        if let Some(session) = session {
            if session.principal.id == principal {
                self.push(&session, handle, ReplyItem::Notification(sealed));
            }
            return;
        }
        for session in self.sessions.all() {
            if session.principal.id == principal {
                self.push(&session, handle, ReplyItem::Notification(sealed.clone()));
            }
        }
        for listener in self.listeners.all() {
            if listener.principal.id == principal
                && listener.tasks
                && self.listener_may_hear(&listener, &handle.key)
            {
                listener.send(&sealed);
            }
        }
    }
}

/// Adapts the reply to a method on a task.
struct Answered {
    inner: Arc<Inner>,
    seal_scope: SealScope,
    /// The id of the task at the server.
    own: String,
    /// The id that the caller uses.
    given: String,
    is_result: bool,
}

impl Answered {
    /// Returns the reply with the id that the caller uses.
    fn reply(self, reply: Reply) -> Reply {
        match reply.into_ready() {
            Ok(response) => Reply::ready(self.response(*response)),
            Err(stream) => {
                let items = stream.filter_map(move |item| std::future::ready(self.item(item)));
                Reply::stream(items.boxed())
            }
        }
    }

    fn item(&self, item: ReplyItem) -> Option<ReplyItem> {
        Some(match item {
            ReplyItem::Response(message) => ReplyItem::Response(self.response(message)),
            ReplyItem::Notification(message) if !self.inner.is_for(&self.seal_scope, &message) => {
                return None;
            }
            ReplyItem::Notification(message) => ReplyItem::Notification(self.message(message)),
            ReplyItem::Request(mut request) => {
                request.message = self.message(request.message);
                ReplyItem::Request(request)
            }
            failed @ ReplyItem::Failed(_) => failed,
        })
    }

    fn response(&self, response: Message) -> Message {
        self.inner
            .note_task(&self.seal_scope, &self.own, &response, self.is_result);
        self.message(response)
    }

    fn message(&self, message: Message) -> Message {
        let asked = Some((&*self.own, &*self.given));
        self.inner.seal_known(&self.seal_scope, asked, message)
    }
}

/// Returns the error for a task that does not exist or belongs to another caller, which must not be distinguishable.
fn unknown() -> Error {
    Error::new(ErrorKind::InvalidParams, "unknown task")
}
