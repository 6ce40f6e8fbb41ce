//! Seals task ids on their way to callers. Only ids of the caller's own tasks are sealed.
//!
//! A server may repeat anything that a caller sends it. A sealed id is therefore created only where a result creates a
//! task; elsewhere an id is replaced only if it is known to belong to this caller.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use memchr::memmem::Finder;
use serde::{Deserialize, Serialize};

use super::messages::{Ids, TaskCreation, is_end};
use crate::id::{PrincipalId, ServerId};
use crate::jsonrpc::{Kind, Members, Message, Splice, error_response, quote, span_of, text};
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::tasks::{Claim, Place};
use crate::pool::Handle;
use crate::protocol::code;
use crate::runtime::Scope;
use crate::session::Session;

/// Created once: building a finder costs more than searching a short result.
pub(crate) static TASK_ID: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new("\"taskId\""));
const LABEL: &str = "task id";

/// The plaintext of a sealed id.
#[derive(Serialize, Deserialize)]
pub(super) struct Sealed {
    /// The server that runs the task.
    pub(super) s: ServerId,
    /// The public name of the instance.
    pub(super) n: String,
    /// The task id as the server knows it.
    pub(super) t: String,
    /// The scope tag of the session that owns the task's conversation. `None` if all callers share one conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) c: Option<String>,
}

/// The caller that messages are sealed for, and the instance that sent them.
#[derive(Clone)]
pub(crate) struct SealScope {
    pub(super) principal: PrincipalId,
    pub(super) handle: Arc<Handle>,
    pub(super) party: crate::transport::Party,
    pub(super) session: Option<Arc<Session>>,
}

impl SealScope {
    /// Returns the table key of this task id in the caller's conversation.
    pub(super) fn place(&self, id: &str) -> Place {
        Place {
            key: self.handle.key.clone(),
            conversation: self.handle.link.conversation(self.party),
            id: id.into(),
        }
    }

    fn tag(&self, place: &Place) -> Option<String> {
        if place.conversation == 0 {
            return None;
        }
        match &self.session.as_ref()?.scope {
            Scope::Session(tag) => Some(tag.as_ref().to_owned()),
            Scope::Shared | Scope::Principal(_) => None,
        }
    }
}

impl Inner {
    /// Returns a message for this caller with the ids of the caller's tasks sealed.
    pub(crate) fn seal_tasks(
        &self,
        seal_scope: &SealScope,
        makes: TaskCreation,
        message: Message,
    ) -> Message {
        let Some(body) = message.body() else {
            return message;
        };
        if TASK_ID.find(body.as_bytes()).is_none() {
            return message;
        }
        let ids = Ids::read(body);
        let made = (message.kind() == Kind::Response).then(|| ids.made(makes));
        let Some((raw, task)) = made.flatten() else {
            return self.seal_known(seal_scope, None, message);
        };
        let Some(id) = text(raw) else { return message };
        let place = seal_scope.place(&id);
        let sealed = self.sealed(seal_scope, &place);
        let ttl = self.task_ttl(place.key.server(), &task);
        let claim = self.tasks.claim(place, &seal_scope.principal, &sealed, ttl);
        if claim == Claim::Anothers {
            return self.not_theirs(seal_scope, &message);
        }
        let mut splice = Splice::new();
        splice.replace(span_of(message.bytes(), raw), quote(&sealed));
        if let Some(related) = ids.related
            && text(related).as_deref() == Some(&*id)
        {
            splice.replace(span_of(message.bytes(), related), quote(&sealed));
        }
        message.spliced(&splice)
    }

    /// Returns a message for this caller with the ids of its known tasks sealed. `asked` is the id that the caller
    /// asked about: the server's id and the sealed id.
    pub(super) fn seal_known(
        &self,
        seal_scope: &SealScope,
        asked: Option<(&str, &str)>,
        message: Message,
    ) -> Message {
        let Some(body) = message.body() else {
            return message;
        };
        if TASK_ID.find(body.as_bytes()).is_none() {
            return message;
        }
        let ids = Ids::read(body);
        let mut splice = Splice::new();
        // A request of the server is about a task of the client, whose id is the client's own.
        let (top, task) = match message.kind() {
            Kind::Request => (None, None),
            _ => (ids.top, ids.task),
        };
        for raw in [top, task, ids.related].into_iter().flatten() {
            let Some(id) = text(raw) else { continue };
            let theirs = match asked {
                Some((own, sealed)) if own == id => Some(sealed.into()),
                _ => {
                    let known = self.tasks.get(&seal_scope.place(&id));
                    known
                        .filter(|known| known.is_of(&seal_scope.principal))
                        .map(|known| known.sealed)
                }
            };
            if let Some(sealed) = theirs {
                splice.replace(span_of(message.bytes(), raw), quote(&sealed));
            }
        }
        message.spliced(&splice)
    }

    /// Records what a response says about a task: that the server knows it, and whether it has ended.
    pub(super) fn note_task(
        &self,
        seal_scope: &SealScope,
        id: &str,
        response: &Message,
        result: bool,
    ) {
        if response.kind() != Kind::Response {
            return;
        }
        let members = response.body().and_then(Members::read).unwrap_or_default();
        let status = members.get("status").and_then(text);
        let ended = result || status.is_some_and(|status| is_end(&status));
        self.tasks
            .confirm(&seal_scope.place(id), &seal_scope.principal, ended);
    }

    fn sealed(&self, seal_scope: &SealScope, place: &Place) -> String {
        let plain = Sealed {
            s: place.key.server().clone(),
            n: place.key.name().to_owned(),
            t: place.id.as_ref().to_owned(),
            c: seal_scope.tag(place),
        };
        let plain = serde_json::to_vec(&plain).unwrap_or_default();
        self.key
            .seal_same(LABEL, seal_scope.principal.as_str().as_bytes(), &plain)
    }

    /// Opens a sealed id. Returns `None` if it was not sealed for this principal.
    pub(super) fn unsealed(&self, principal: &PrincipalId, sealed: &str) -> Option<Sealed> {
        let plain = self
            .key
            .open(LABEL, principal.as_str().as_bytes(), sealed)?;
        serde_json::from_slice(&plain).ok()
    }

    fn not_theirs(&self, seal_scope: &SealScope, response: &Message) -> Message {
        let server = seal_scope.handle.key.server();
        tracing::warn!(%server, principal = %seal_scope.principal, "a server gave two callers the same task id");
        let text = format!("server {server} answered with the id of another caller's task");
        let id = response.id().unwrap_or("null");
        crate::call::own(error_response(id, i64::from(code::INTERNAL), &text, None))
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
}
