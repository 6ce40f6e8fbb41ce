//! Tasks that a client made for requests of servers.
//!
//! A client has one list of such tasks for all servers behind the gateway. A server may therefore ask only about tasks
//! that the client made for that server.

use std::collections::VecDeque;

use parking_lot::Mutex;

use crate::call::{ServerRequest, own};
use crate::jsonrpc::{Kind, Members, Message, error_response, text};
use crate::limits::{MAX_CLIENT_TASK_ID_LEN, MAX_CLIENT_TASKS};
use crate::protocol::{code, method};
use crate::runtime::InstanceKey;

/// The method of a server's request about a client's task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TaskMethod {
    /// It names one task.
    OfOne,
    /// It asks for all tasks, also those that were made for other servers.
    OfAll,
}

impl TaskMethod {
    pub(super) fn of(request: &Message) -> Option<Self> {
        match request.method() {
            method::TASKS_LIST => Some(Self::OfAll),
            other if other.starts_with("tasks/") => Some(Self::OfOne),
            _ => None,
        }
    }
}

/// The tasks of one client, each with the instance it was made for; the newest is last.
#[derive(Debug, Default)]
pub(super) struct ClientTasks {
    made: Mutex<VecDeque<(InstanceKey, Box<str>)>>,
}

impl ClientTasks {
    /// Returns a request about a task if its sender may make it. Otherwise it is answered with an error.
    pub(super) fn admit(&self, about: TaskMethod, request: ServerRequest) -> Option<ServerRequest> {
        if about == TaskMethod::OfAll {
            request.refuse();
            return None;
        }
        let params = request.message.body().and_then(Members::read);
        let id = params.as_ref().and_then(|params| params.get("taskId"));
        let (id, from) = (id.and_then(text), request.origin.as_ref());
        let is_own = self
            .made
            .lock()
            .iter()
            .any(|(key, made)| Some(key) == from && id.as_deref() == Some(made));
        drop(id);
        if is_own {
            return Some(request);
        }
        let id = request.message.id().unwrap_or("null").to_owned();
        let code = i64::from(code::INVALID_PARAMS);
        request.answer(own(error_response(&id, code, "unknown task", None)));
        None
    }

    /// Returns `true` if the client made this task for the instance.
    pub(super) fn has(&self, key: &InstanceKey, id: &str) -> bool {
        let made = self.made.lock();
        made.iter().any(|(of, known)| of == key && **known == *id)
    }

    /// Remembers the task that an answer to a request of this instance created, if any.
    pub(super) fn note(&self, key: &InstanceKey, answer: &Message) {
        if answer.kind() != Kind::Response {
            return;
        }
        let result = answer.body().and_then(Members::read).unwrap_or_default();
        let task = result.get("task").and_then(Members::read);
        let id = task.as_ref().and_then(|task| task.get("taskId"));
        let Some(id) = id.and_then(text) else { return };
        if id.len() > MAX_CLIENT_TASK_ID_LEN {
            return;
        }
        let mut made = self.made.lock();
        made.retain(|(_, known)| **known != *id);
        if made.len() >= MAX_CLIENT_TASKS {
            made.pop_front();
        }
        made.push_back((key.clone(), id.into()));
    }
}
