//! Requests of servers that await an answer of one session's client.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use foldhash::HashMap;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::client_tasks::{ClientTasks, TaskMethod};
use crate::call::ServerRequest;
use crate::jsonrpc::{Message, Splice, whole_number};
use crate::limits::MAX_ASKED_PER_SESSION;
use crate::runtime::InstanceKey;
use crate::transport::progress_token;

/// The open requests of one session.
#[derive(Debug)]
pub(super) struct PendingRequests {
    open: Mutex<HashMap<u64, PendingRequest>>,
    next: AtomicU64,
    tasks: ClientTasks,
}

#[derive(Debug)]
struct PendingRequest {
    about: About,
    /// The server's own progress token, as JSON. The client gets the number of the request instead, because two servers
    /// may choose the same token.
    progress: Option<Bytes>,
    answer: oneshot::Sender<Message>,
}

/// The request that an answer belongs to.
#[derive(Clone, Debug)]
pub(crate) struct About {
    /// The instance that sent the request; `None` for a request of the gateway itself.
    pub(crate) origin: Option<InstanceKey>,
    /// The method of the request.
    pub(crate) method: Box<str>,
}

impl Default for PendingRequests {
    fn default() -> Self {
        Self {
            open: Mutex::default(),
            next: AtomicU64::new(1),
            tasks: ClientTasks::default(),
        }
    }
}

impl PendingRequests {
    /// Registers a request and returns it with an id and a progress token of this session. Returns `None`, which refuses
    /// it, if too many are open or it is about a task that the client did not make for this instance.
    pub(super) fn ask(&self, request: ServerRequest) -> Option<Message> {
        let request = match TaskMethod::of(&request.message) {
            Some(method) => self.tasks.admit(method, request)?,
            None => request,
        };
        let about = About {
            origin: request.origin.clone(),
            method: request.message.method().into(),
        };
        let (message, answer) = request.into_parts();
        let mut open = self.open.lock();
        open.retain(|_, question| !question.answer.is_closed());
        if open.len() >= MAX_ASKED_PER_SESSION {
            return None;
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let own = Bytes::from(id.to_string());
        let mut splice = Splice::new();
        splice.id(&message, own.clone());
        let progress = progress_token(&message).map(|(span, token)| {
            splice.replace(span, own);
            token
        });
        let question = PendingRequest {
            about,
            progress,
            answer,
        };
        open.insert(id, question);
        Some(message.spliced(&splice))
    }

    /// Returns the request that a response answers.
    pub(super) fn about(&self, response: &Message) -> Option<About> {
        let open = self.open.lock();
        open.get(&number(response)?)
            .map(|question| question.about.clone())
    }

    /// Delivers an answer. Returns `false` if there is no open request for it.
    pub(super) fn answer(&self, response: Message) -> bool {
        let asked = number(&response).and_then(|id| self.open.lock().remove(&id));
        asked.is_some_and(|question| {
            if let Some(key) = &question.about.origin {
                self.tasks.note(key, &response);
            }
            question.answer.send(response).is_ok()
        })
    }

    /// Returns the instance with the open request that has this progress token, given as JSON, and the instance's own
    /// token.
    pub(super) fn awaits_progress(&self, token: &str) -> Option<(InstanceKey, Bytes)> {
        let open = self.open.lock();
        let question = open.get(&whole_number(token)?)?;
        if question.answer.is_closed() {
            return None;
        }
        Some((question.about.origin.clone()?, question.progress.clone()?))
    }

    /// Returns `true` if the client made this task for the instance.
    pub(super) fn made_task(&self, key: &InstanceKey, id: &str) -> bool {
        self.tasks.has(key, id)
    }

    /// Refuses every request of this instance.
    pub(super) fn refuse_all_of(&self, key: &InstanceKey) {
        self.open
            .lock()
            .retain(|_, question| question.about.origin.as_ref() != Some(key));
    }

    /// Refuses the request that this response would answer.
    pub(super) fn refuse(&self, response: &Message) {
        if let Some(id) = number(response) {
            self.open.lock().remove(&id);
        }
    }

    /// Refuses every request.
    pub(super) fn refuse_all(&self) {
        self.open.lock().clear();
    }
}

/// Returns the number of the request that a response answers. Some clients return the id as a string.
fn number(response: &Message) -> Option<u64> {
    response.id()?.trim_matches('"').parse().ok()
}
