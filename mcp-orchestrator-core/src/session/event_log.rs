//! The events of one stream, and the limits on how many are kept.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::call::ReplyItem;
use crate::error::Error;
use crate::jsonrpc::Message;
use crate::limits::{
    MAX_EVENT_BYTES, MAX_EVENT_BYTES_PER_SESSION, MAX_EVENT_BYTES_PER_STREAM, MAX_EVENTS_PER_STREAM,
};

/// One event.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Message(Message),
    Last(Message),
    Failed(Arc<Error>),
}

impl Event {
    fn size(&self) -> usize {
        match self {
            Self::Message(message) | Self::Last(message) => message.bytes().len(),
            Self::Failed(_) => 64,
        }
    }

    /// Gives up the share of its server's memory. An event that is kept for a client that may resume has its own limits.
    pub(super) fn release(&mut self) {
        match self {
            Self::Message(message) | Self::Last(message) => message.release(),
            Self::Failed(_) => {}
        }
    }

    pub(super) fn item(&self) -> ReplyItem {
        match self {
            Self::Message(message) => ReplyItem::Notification(message.clone()),
            Self::Last(message) => ReplyItem::Response(message.clone()),
            Self::Failed(error) => ReplyItem::Failed(error.duplicate()),
        }
    }
}

/// Total size in bytes of the events of all sessions.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventBytes(Arc<AtomicUsize>);

/// Size in bytes of the events of one session.
#[derive(Debug, Default)]
pub(super) struct Kept {
    own: usize,
    all: EventBytes,
}

impl Kept {
    pub(super) fn of(all: EventBytes) -> Self {
        Self { own: 0, all }
    }

    fn add(&mut self, bytes: usize) {
        self.own += bytes;
        self.all.0.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn remove(&mut self, bytes: usize) {
        self.own -= bytes;
        self.all.0.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Returns `true` if this session or all sessions together exceed their limit.
    pub(super) fn is_over(&self) -> bool {
        self.own > MAX_EVENT_BYTES_PER_SESSION
            || self.all.0.load(Ordering::Relaxed) > MAX_EVENT_BYTES
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.remove(self.own);
    }
}

/// The events of one stream. The oldest are dropped when a limit is exceeded.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) events: VecDeque<(u64, Event)>,
    pub(super) bytes: usize,
    next: u64,
    pub(super) done: bool,
    /// Sequence number of the last event that was read.
    pub(super) read: u64,
    /// Number of the current reader; an older reader ends.
    pub(super) reader: u64,
    pub(super) readers: usize,
}

impl Log {
    /// Creates a log whose first event has the number after `last`.
    pub(super) fn from(last: u64) -> Self {
        Self {
            next: last,
            read: last,
            ..Self::default()
        }
    }

    /// Adds an event. The newest event is kept regardless of its size.
    pub(super) fn push(&mut self, event: Event, kept: &mut Kept) {
        self.next += 1;
        self.bytes += event.size();
        kept.add(event.size());
        self.events.push_back((self.next, event));
        while self.events.len() > 1
            && (self.events.len() > MAX_EVENTS_PER_STREAM
                || self.bytes > MAX_EVENT_BYTES_PER_STREAM
                || kept.is_over())
        {
            if let Some((_, old)) = self.events.pop_front() {
                self.bytes -= old.size();
                kept.remove(old.size());
            }
        }
    }
}
