//! What a session's client is sent on streams, kept for a while so that a broken stream can be resumed.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::Stream;
use tokio::sync::Notify;

use crate::call::{EventId, ReplyItem};
use crate::error::Error;
use crate::jsonrpc::Message;

/// Events that one stream keeps; older notifications go first.
const EVENTS: usize = 256;
/// Bytes that one stream keeps; the last event is kept whatever its size.
const BYTES: usize = 4 << 20;
/// Ended streams that can still be resumed.
const ENDED: usize = 16;
/// The stream of what belongs to no call.
const GENERAL: u64 = EventId::GENERAL;

/// An item, and which event of which stream it is.
pub(super) type Placed = (EventId, ReplyItem);

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

    fn item(&self) -> ReplyItem {
        match self {
            Self::Message(message) => ReplyItem::Notification(message.clone()),
            Self::Last(message) => ReplyItem::Response(message.clone()),
            Self::Failed(error) => ReplyItem::Failed(error.duplicate()),
        }
    }
}

#[derive(Debug, Default)]
struct Log {
    events: VecDeque<(u64, Event)>,
    bytes: usize,
    next: u64,
    done: bool,
    /// Up to where somebody has read.
    read: u64,
    /// Which reader is the one; an older one ends.
    reader: u64,
    readers: usize,
}

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
}

impl Log {
    fn push(&mut self, event: Event) {
        self.next += 1;
        self.bytes += event.size();
        self.events.push_back((self.next, event));
        while self.events.len() > 1 && (self.events.len() > EVENTS || self.bytes > BYTES) {
            if let Some((_, old)) = self.events.pop_front() {
                self.bytes -= old.size();
            }
        }
    }
}

impl Streams {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new stream.
    pub(super) fn open(&self) -> u64 {
        let mut inner = self.lock();
        inner.next += 1;
        let number = inner.next;
        inner.logs.insert(number, Log::default());
        number
    }

    pub(super) fn push(&self, number: u64, event: Event) {
        if let Some(log) = self.lock().logs.get_mut(&number) {
            log.push(event);
        }
        self.news.notify_waiters();
    }

    pub(super) fn push_general(&self, event: Event) {
        self.lock().logs.entry(GENERAL).or_default().push(event);
        self.news.notify_waiters();
    }

    /// No event follows; the stream can be read for a while longer.
    pub(super) fn finish(&self, number: u64) {
        {
            let mut inner = self.lock();
            if let Some(log) = inner.logs.get_mut(&number) {
                log.done = true;
                inner.ended.push_back(number);
            }
            while inner.ended.len() > ENDED {
                if let Some(old) = inner.ended.pop_front() {
                    inner.logs.remove(&old);
                }
            }
        }
        self.news.notify_waiters();
    }

    /// Ends all.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.news.notify_waiters();
    }

    /// Ends the stream of what belongs to no call.
    pub(super) fn close_general(&self) {
        self.lock().logs.entry(GENERAL).or_default().done = true;
        self.news.notify_waiters();
    }

    /// Whether somebody reads any of them.
    pub(super) fn is_read(&self) -> bool {
        self.lock().logs.values().any(|log| log.readers > 0)
    }

    /// The events after this one, until the stream ends.
    pub(super) fn read(
        streams: &Arc<Self>,
        after: EventId,
    ) -> impl Stream<Item = Placed> + Send + use<> {
        let reader = {
            let mut inner = streams.lock();
            let log = inner.logs.get_mut(&after.stream);
            log.map_or(0, |log| {
                log.reader += 1;
                log.readers += 1;
                log.reader
            })
        };
        // The reader before this one waits for news; that it is not the one any more is news.
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

    /// The stream of what belongs to no call, from where it was last read.
    pub(super) fn listen(
        streams: &Arc<Self>,
    ) -> (EventId, impl Stream<Item = Placed> + Send + use<>) {
        let seq = streams.lock().logs.entry(GENERAL).or_default().read;
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
        let mut inner = self.streams.lock();
        let closed = inner.closed;
        let Some(log) = inner.logs.get_mut(&self.number) else {
            return Next::End;
        };
        if log.reader != self.reader {
            return Next::End;
        }
        let next = log.events.partition_point(|(seq, _)| *seq <= self.at);
        if let Some((seq, event)) = log.events.get(next) {
            self.at = *seq;
            let place = EventId {
                stream: self.number,
                seq: self.at,
            };
            let item = event.item();
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
        if let Some(log) = self.streams.lock().logs.get_mut(&self.number) {
            log.readers = log.readers.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    fn event(n: u64) -> Event {
        let bytes = crate::jsonrpc::notification("x", Some(&format!("[{n}]")));
        Event::Message(crate::call::own(bytes))
    }

    async fn bodies(stream: impl Stream<Item = Placed>, count: usize) -> Vec<String> {
        let items = stream.take(count).map(|(_, item)| match item {
            ReplyItem::Notification(message) => message.body().unwrap().to_owned(),
            other => panic!("{other:?}"),
        });
        items.collect().await
    }

    #[tokio::test]
    async fn a_stream_is_read_again_from_where_it_broke() {
        let streams = Arc::new(Streams::default());
        let number = streams.open();
        for n in 1..=3 {
            streams.push(number, event(n));
        }
        assert_eq!(
            bodies(
                Streams::read(
                    &streams,
                    EventId {
                        stream: number,
                        seq: 0
                    }
                ),
                2
            )
            .await,
            ["[1]", "[2]"]
        );
        streams.finish(number);
        assert_eq!(
            bodies(
                Streams::read(
                    &streams,
                    EventId {
                        stream: number,
                        seq: 2
                    }
                ),
                9
            )
            .await,
            ["[3]"]
        );
    }

    #[tokio::test]
    async fn a_newer_reader_ends_an_older_one() {
        let streams = Arc::new(Streams::default());
        streams.push_general(event(1));
        let (_, first) = Streams::listen(&streams);
        let (_, second) = Streams::listen(&streams);
        assert_eq!(bodies(second, 1).await, ["[1]"]);
        assert!(bodies(first, 1).await.is_empty());
        let (after, _) = Streams::listen(&streams);
        assert_eq!(after.seq, 1);
    }

    #[test]
    fn an_endless_stream_keeps_its_newest_events() {
        let streams = Streams::default();
        let number = streams.open();
        for n in 0..10_000 {
            streams.push(number, event(n));
        }
        assert_eq!(streams.lock().logs[&number].events.len(), EVENTS);
    }
}
