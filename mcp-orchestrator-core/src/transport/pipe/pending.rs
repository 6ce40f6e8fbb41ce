//! The requests in flight on a pipe.

use std::collections::HashMap;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::call::ReplyItem;
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::Message;
use crate::limits::MAX_CALL_BACKLOG;
use crate::transport::Party;

/// What a caller receives first.
pub(super) enum First {
    /// The response; most calls receive nothing else.
    Response(Result<Box<Message>>),
    /// Another message before the response.
    Stream {
        items: mpsc::Receiver<ReplyItem>,
        response: oneshot::Receiver<Result<Box<Message>>>,
    },
}

/// One request in flight.
pub(super) struct Entry {
    client_id: Bytes,
    token: Option<Bytes>,
    party: Party,
    /// `true` for a `subscriptions/listen`, which the server may end.
    is_listen: bool,
    state: State,
}

enum State {
    Waiting(oneshot::Sender<First>),
    Streaming {
        items: mpsc::Sender<ReplyItem>,
        response: oneshot::Sender<Result<Box<Message>>>,
    },
}

/// Requests in flight, by the id that the pipe assigned.
pub(super) struct Pending {
    inner: Mutex<Inner>,
    limit: usize,
}

struct Inner {
    entries: HashMap<u64, Entry>,
    next: u64,
    /// `true` if a caller's request was sent, not only requests of the engine.
    served: bool,
    /// Why no more responses will arrive.
    closed: Option<Error>,
}

/// Why no caller can receive a request of the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Nobody {
    /// No call is in flight.
    Idle,
    /// Calls of several callers are in flight.
    Several,
}

impl Pending {
    pub(super) fn new(first_id: u64, limit: usize) -> Self {
        let inner = Inner {
            entries: HashMap::new(),
            next: first_id,
            served: false,
            closed: None,
        };
        Self {
            inner: Mutex::new(inner),
            limit,
        }
    }

    /// Registers a request. Returns its new id and the receiver of its response.
    pub(super) fn insert(
        &self,
        client_id: Bytes,
        token: Option<Bytes>,
        party: Party,
    ) -> Result<(u64, oneshot::Receiver<First>)> {
        let (sender, receiver) = oneshot::channel();
        let mut inner = self.inner.lock();
        if let Some(error) = &inner.closed {
            return Err(error.duplicate());
        }
        if inner.entries.len() >= self.limit {
            let text = format!(
                "{} calls are in flight on this instance already",
                self.limit
            );
            return Err(Error::new(ErrorKind::Overloaded, text)
                .with_retry_after(std::time::Duration::from_secs(1)));
        }
        let id = inner.next;
        inner.next += 1;
        inner.served |= party != 0;
        inner.entries.insert(
            id,
            Entry {
                client_id,
                token,
                party,
                is_listen: false,
                state: State::Waiting(sender),
            },
        );
        Ok((id, receiver))
    }

    /// Marks a request as a `subscriptions/listen`.
    pub(super) fn listens(&self, id: u64) {
        if let Some(entry) = self.inner.lock().entries.get_mut(&id) {
            entry.is_listen = true;
        }
    }

    /// Returns `true` if a caller's request was sent.
    pub(super) fn has_served(&self) -> bool {
        self.inner.lock().served
    }

    /// Removes a request. Returns `false` if it was already answered.
    pub(super) fn forget(&self, id: u64) -> bool {
        self.inner.lock().entries.remove(&id).is_some()
    }

    /// Delivers a response under the caller's own id. Returns `false` if no caller waits for it.
    pub(super) fn respond(&self, id: u64, response: Message) -> bool {
        let Some(entry) = self.inner.lock().entries.remove(&id) else {
            return false;
        };
        let mut response = Box::new(response);
        response.set_id(&entry.client_id);
        entry.finish(Ok(response));
        true
    }

    /// Fails a `subscriptions/listen`. Other requests are not ended by their server.
    pub(super) fn end_listen(&self, id: u64, error: Error) {
        let mut inner = self.inner.lock();
        let is_listen = inner.entries.get(&id).is_some_and(|entry| entry.is_listen);
        let entry = is_listen.then(|| inner.entries.remove(&id)).flatten();
        drop(inner);
        if let Some(entry) = entry {
            entry.finish(Err(error));
        }
    }

    /// Fails a request. Returns `false` if it was already answered.
    pub(super) fn fail(&self, id: u64, error: Error) -> bool {
        let entry = self.inner.lock().entries.remove(&id);
        entry.map(|entry| entry.finish(Err(error))).is_some()
    }

    /// Returns the caller's progress token for a request.
    pub(super) fn token(&self, id: u64) -> Option<Bytes> {
        self.inner
            .lock()
            .entries
            .get(&id)
            .and_then(|entry| entry.token.clone())
    }

    /// Delivers an item to a caller. Returns `false` if the caller is gone or too slow.
    pub(super) fn push(&self, id: u64, item: ReplyItem) -> bool {
        let mut inner = self.inner.lock();
        let Some(mut entry) = inner.entries.remove(&id) else {
            return false;
        };
        let pushed = entry.push(item);
        inner.entries.insert(id, entry);
        pushed
    }

    /// Returns the newest call of the only caller that has calls in flight.
    pub(super) fn only_party(&self) -> Result<u64, Nobody> {
        let inner = self.inner.lock();
        let mut newest: Option<(u64, Party)> = None;
        // The engine's own requests belong to no caller.
        let callers = inner.entries.iter().filter(|(_, entry)| entry.party != 0);
        for (id, entry) in callers {
            match newest {
                Some((_, party)) if party != entry.party => return Err(Nobody::Several),
                Some((newer, _)) if newer > *id => {}
                _ => newest = Some((*id, entry.party)),
            }
        }
        newest.map(|(id, _)| id).ok_or(Nobody::Idle)
    }

    /// Fails all requests in flight and all future ones.
    pub(super) fn close(&self, error: &Error) {
        let entries = {
            let mut inner = self.inner.lock();
            inner.closed.get_or_insert_with(|| error.duplicate());
            std::mem::take(&mut inner.entries)
        };
        for entry in entries.into_values() {
            entry.finish(Err(error.duplicate()));
        }
    }

    /// Returns why no more responses will arrive, or `None` while the pipe is open.
    pub(super) fn closed(&self) -> Option<Error> {
        self.inner.lock().closed.as_ref().map(Error::duplicate)
    }
}

impl Entry {
    fn push(&mut self, item: ReplyItem) -> bool {
        if let State::Streaming { items, .. } = &self.state {
            return items.try_send(item).is_ok();
        }
        let (items, items_receiver) = mpsc::channel(MAX_CALL_BACKLOG);
        let (response, response_receiver) = oneshot::channel();
        let pushed = items.try_send(item).is_ok();
        let before = std::mem::replace(&mut self.state, State::Streaming { items, response });
        if let State::Waiting(first) = before {
            // If the caller has left, its guard removes the entry.
            let _ = first.send(First::Stream {
                items: items_receiver,
                response: response_receiver,
            });
        }
        pushed
    }

    fn finish(self, response: Result<Box<Message>>) {
        // A caller that has left needs no response.
        match self.state {
            State::Waiting(first) => drop(first.send(First::Response(response))),
            State::Streaming {
                response: sender, ..
            } => drop(sender.send(response)),
        }
    }
}
