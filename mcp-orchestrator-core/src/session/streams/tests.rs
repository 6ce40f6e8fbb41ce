//! Kept events: resumption, limits, and the memory that they take.

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
async fn broken_stream_resumes_after_the_last_event() {
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
async fn newer_reader_ends_the_older_one() {
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
fn endless_stream_retains_only_its_newest_events() {
    let streams = Streams::default();
    let number = streams.open();
    for n in 0..10_000 {
        streams.push(number, event(n));
    }
    assert_eq!(
        streams.inner.lock().logs[&number].events.len(),
        crate::limits::MAX_EVENTS_PER_STREAM
    );
}

fn result(bytes: usize) -> Event {
    let text = format!("\"{}\"", "x".repeat(bytes));
    Event::Last(crate::call::own(crate::jsonrpc::response("1", &text)))
}

#[tokio::test]
async fn retained_results_share_a_budget_and_are_read_in_full() {
    use crate::limits::MAX_EVENT_BYTES_PER_SESSION as MOST;
    let all = EventBytes::default();
    let streams = Arc::new(Streams::counted_in(all.clone(), 0));
    let mut readers = Vec::new();
    for _ in 0..4 {
        let stream = streams.open();
        let reader = Streams::read(&streams, EventId { stream, seq: 0 });
        streams.push(stream, result(MOST));
        streams.finish(stream);
        readers.push((stream, Box::pin(reader)));
    }
    for (stream, mut reader) in readers {
        let (_, item) = reader.next().await.unwrap();
        assert!(matches!(item, ReplyItem::Response(_)), "{stream}");
        drop(reader);
    }
    assert!(
        streams
            .inner
            .lock()
            .logs
            .keys()
            .all(|number| *number == GENERAL)
    );
    // The part within the limit can be read again.
    let stream = streams.open();
    streams.push(stream, result(100));
    streams.finish(stream);
    let again = Streams::read(&streams, EventId { stream, seq: 0 });
    assert_eq!(again.count().await, 1);
    drop(streams);
    assert_eq!(format!("{all:?}"), "EventBytes(0)");
}

#[test]
fn concurrent_streams_share_one_budget() {
    let streams = Streams::default();
    let numbers: Vec<_> = (0..64).map(|_| streams.open()).collect();
    let size = crate::limits::MAX_EVENT_BYTES_PER_STREAM / 8;
    for number in numbers {
        for _ in 0..8 {
            let text = format!("\"{}\"", "x".repeat(size));
            let bytes = crate::jsonrpc::notification("x", Some(&format!("[{text}]")));
            streams.push(number, Event::Message(crate::call::own(bytes)));
        }
    }
    let kept: usize = streams
        .inner
        .lock()
        .logs
        .values()
        .map(|log| log.bytes)
        .sum();
    let most = crate::limits::MAX_EVENT_BYTES_PER_SESSION + 64 * (size + 100);
    assert!(kept < most, "{kept}");
}

#[tokio::test]
async fn events_keep_their_ids_after_eviction_of_older_events() {
    let streams = Arc::new(Streams::default());
    let stream = streams.open();
    for n in 0..1_000 {
        streams.push(stream, event(n));
    }
    streams.finish(stream);
    let read = Streams::read(&streams, EventId { stream, seq: 0 });
    let places: Vec<u64> = read.map(|(place, _)| place.seq).collect().await;
    assert_eq!(places, (745..=1_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn kept_event_takes_memory_of_its_server_only_until_it_is_read() {
    use crate::jsonrpc::MessageMemory;
    use crate::limits::MAX_MESSAGE_MEMORY;
    let memory = Arc::<MessageMemory>::default();
    let event = || {
        let share = memory.share(MAX_MESSAGE_MEMORY).unwrap();
        let message = crate::call::own(crate::jsonrpc::response("1", "{}"));
        Event::Last(message.holding(share))
    };
    let is_free = || memory.share(MAX_MESSAGE_MEMORY).unwrap();
    let streams = Arc::new(Streams::default());
    let stream = streams.open();
    // Nobody reads: the limits of kept events apply.
    streams.push(stream, event());
    drop(is_free());
    let reader = Streams::read(&streams, EventId { stream, seq: 1 });
    let mut reader = Box::pin(reader);
    streams.push(stream, event());
    assert!(memory.share(MAX_MESSAGE_MEMORY).is_err());
    let item = reader.next().await;
    assert!(memory.share(MAX_MESSAGE_MEMORY).is_err());
    drop(item);
    drop(is_free());
    // A reader leaves before it has read the event.
    streams.push(stream, event());
    drop(reader);
    drop(is_free());
}
