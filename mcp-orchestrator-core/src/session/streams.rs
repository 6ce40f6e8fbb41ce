//! Event streams to a session's client, kept for a while so that a broken stream can be resumed.

mod replies;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures_util::Stream;
use parking_lot::Mutex;
use tokio::sync::Notify;

pub(super) use super::event_log::Event;
use super::event_log::{EventBytes, Kept, Log};
use crate::call::{EventId, ReplyItem};
use crate::limits::MAX_ENDED_STREAMS;

/// The general stream, for messages that belong to no call.
const GENERAL: u64 = EventId::GENERAL;

/// An item with the id of its event.
pub(super) type Placed = (EventId, ReplyItem);

/// The streams of one session.
#[derive(Debug, Default)]
pub(super) struct Streams {
    inner: Mutex<Inner>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    logs: HashMap<u64, Log>,
    ended: VecDeque<u64>,
    next: u64,
    closed: bool,
    kept: Kept,
}

impl Inner {
    fn push(&mut self, number: u64, mut event: Event) {
        if let Some(log) = self.logs.get_mut(&number) {
            if log.readers == 0 {
                event.release();
            }
            log.push(event, &mut self.kept);
        }
    }

    /// Drops ended streams, oldest first, while there are too many or they are too large. A stream that is being read
    /// is never dropped.
    fn trim(&mut self) {
        let mut at = 0;
        while at < self.ended.len() && (self.ended.len() > MAX_ENDED_STREAMS || self.kept.is_over())
        {
            let number = self.ended[at];
            if self.logs.get(&number).is_some_and(|log| log.readers > 0) {
                at += 1;
                continue;
            }
            self.ended.remove(at);
            if let Some(log) = self.logs.remove(&number) {
                self.kept.remove(log.bytes);
            }
        }
    }
}

impl Streams {
    /// Creates streams and counts their size towards `all`. Streams and the events of the general stream are numbered
    /// from `first`.
    pub(super) fn counted_in(all: EventBytes, first: u64) -> Self {
        let inner = Inner {
            kept: Kept::of(all),
            next: first,
            logs: HashMap::from([(GENERAL, Log::from(first))]),
            ..Inner::default()
        };
        Self {
            inner: Mutex::new(inner),
            news: Notify::new(),
        }
    }

    /// Opens a new stream.
    pub(super) fn open(&self) -> u64 {
        let mut inner = self.inner.lock();
        inner.next += 1;
        let number = inner.next;
        inner.logs.insert(number, Log::default());
        number
    }

    pub(super) fn push(&self, number: u64, event: Event) {
        self.inner.lock().push(number, event);
        self.news.notify_waiters();
    }

    pub(super) fn push_general(&self, event: Event) {
        let mut inner = self.inner.lock();
        inner.logs.entry(GENERAL).or_default();
        inner.push(GENERAL, event);
        drop(inner);
        self.news.notify_waiters();
    }

    /// Marks a stream as complete. It remains readable for a while.
    pub(super) fn finish(&self, number: u64) {
        {
            let mut inner = self.inner.lock();
            if let Some(log) = inner.logs.get_mut(&number) {
                log.done = true;
                inner.ended.push_back(number);
            }
            inner.trim();
        }
        self.news.notify_waiters();
    }

    /// Ends all streams.
    pub(super) fn close(&self) {
        self.inner.lock().closed = true;
        self.news.notify_waiters();
    }

    /// Ends the general stream.
    pub(super) fn close_general(&self) {
        self.inner.lock().logs.entry(GENERAL).or_default().done = true;
        self.news.notify_waiters();
    }

    /// Returns `true` if the stream is known.
    pub(super) fn has(&self, number: u64) -> bool {
        self.inner.lock().logs.contains_key(&number)
    }

    /// Returns `true` if any stream has a reader.
    pub(super) fn is_read(&self) -> bool {
        self.inner.lock().logs.values().any(|log| log.readers > 0)
    }

    /// Returns the events after this one, until the stream ends.
    pub(super) fn read(
        streams: &Arc<Self>,
        after: EventId,
    ) -> impl Stream<Item = Placed> + Send + use<> {
        let reader = {
            let mut inner = streams.inner.lock();
            let log = inner.logs.get_mut(&after.stream);
            log.map_or(0, |log| {
                log.reader += 1;
                log.readers += 1;
                log.reader
            })
        };
        // Wakes the previous reader, which ends because it is no longer the current one.
        streams.news.notify_waiters();
        let reader = Reader {
            streams: Arc::clone(streams),
            number: after.stream,
            at: after.seq,
            reader,
        };
        futures_util::stream::unfold(reader, |mut reader| async move {
            Some((reader.next().await?, reader))
        })
    }

    /// Returns the general stream from where it was last read.
    pub(super) fn listen(
        streams: &Arc<Self>,
    ) -> (EventId, impl Stream<Item = Placed> + Send + use<>) {
        let seq = streams.inner.lock().logs.entry(GENERAL).or_default().read;
        let after = EventId {
            stream: GENERAL,
            seq,
        };
        (after, Self::read(streams, after))
    }
}

struct Reader {
    streams: Arc<Streams>,
    number: u64,
    at: u64,
    reader: u64,
}

impl Reader {
    async fn next(&mut self) -> Option<Placed> {
        let streams = Arc::clone(&self.streams);
        loop {
            let news = streams.news.notified();
            match self.poll() {
                Next::Item(item) => return Some(item),
                Next::End => return None,
                Next::Wait => news.await,
            }
        }
    }

    fn poll(&mut self) -> Next {
        let mut inner = self.streams.inner.lock();
        let closed = inner.closed;
        let Some(log) = inner.logs.get_mut(&self.number) else {
            return Next::End;
        };
        if log.reader != self.reader {
            return Next::End;
        }
        let next = log.events.partition_point(|(seq, _)| *seq <= self.at);
        if let Some((seq, event)) = log.events.get_mut(next) {
            self.at = *seq;
            let place = EventId {
                stream: self.number,
                seq: self.at,
            };
            let item = event.item();
            event.release();
            log.read = log.read.max(self.at);
            return Next::Item((place, item));
        }
        if log.done || closed {
            Next::End
        } else {
            Next::Wait
        }
    }
}

enum Next {
    Item(Placed),
    Wait,
    End,
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut inner = self.streams.inner.lock();
        if let Some(log) = inner.logs.get_mut(&self.number) {
            log.readers = log.readers.saturating_sub(1);
            if log.readers == 0 {
                log.events.iter_mut().for_each(|(_, event)| event.release());
            }
        }
        inner.trim();
    }
}

#[cfg(test)]
mod tests;
