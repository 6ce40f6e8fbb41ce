//! Recorded events of legacy sessions' streams, for clients that resume with `Last-Event-ID`. rmcp discards a call's
//! stream together with its response, so a client that resumes after `retry` would find nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::stream;
use parking_lot::{Mutex, MutexGuard};
use rmcp::model::ServerJsonRpcMessage;
use rmcp::transport::streamable_http_server::session::{
    EventStore, EventStoreError, EventStream, ServerSseMessage,
};
use tokio::sync::watch;

/// The number of events to keep; the oldest are dropped first.
const EVENTS: usize = 1024;

/// The events of all streams, in the order in which they were sent.
#[derive(Clone)]
pub(crate) struct Recall {
    kept: Arc<Mutex<Kept>>,
    /// The number of events so far.
    said: watch::Sender<usize>,
}

#[derive(Default)]
struct Kept {
    /// The number of the first remaining event.
    first: usize,
    events: VecDeque<(String, ServerSseMessage)>,
}

impl Recall {
    pub(crate) fn new() -> Self {
        Self {
            kept: Arc::default(),
            said: watch::Sender::new(0),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock()
    }
}

impl Kept {
    /// Returns the first event of a stream from this number on.
    fn from(&self, number: usize, stream: &str) -> Option<(usize, ServerSseMessage)> {
        let number = number.max(self.first);
        let mut later = (number..).zip(self.events.iter().skip(number - self.first));
        let (number, (_, event)) = later.find(|(_, (of, _))| of == stream)?;
        Some((number, event.clone()))
    }
}

fn is_answer(event: &ServerSseMessage) -> bool {
    let message = event.message.as_deref();
    message.is_some_and(|message| {
        matches!(
            message,
            ServerJsonRpcMessage::Response(_) | ServerJsonRpcMessage::Error(_)
        )
    })
}

#[async_trait::async_trait]
impl EventStore for Recall {
    async fn store_event(
        &self,
        stream: &str,
        event: &ServerSseMessage,
    ) -> Result<String, EventStoreError> {
        let mut kept = self.kept();
        let number = kept.first + kept.events.len();
        let mut event = event.clone();
        event.event_id = Some(number.to_string());
        kept.events.push_back((stream.to_owned(), event));
        if kept.events.len() > EVENTS {
            kept.events.pop_front();
            kept.first += 1;
        }
        drop(kept);
        self.said.send_replace(number + 1);
        Ok(number.to_string())
    }

    /// Returns the following events of the stream up to its response, including events that are not sent yet.
    async fn replay_events_after(&self, last: &str) -> Result<EventStream, EventStoreError> {
        let last: usize = last.parse()?;
        let found = {
            let kept = self.kept();
            let at = last.checked_sub(kept.first);
            at.and_then(|at| Some(kept.events.get(at)?.0.clone()))
        };
        let name = found.ok_or("the event is not kept")?;
        let rest = (self.clone(), self.said.subscribe(), Some(last + 1));
        let events = stream::unfold(rest, move |(recall, mut said, next)| {
            let name = name.clone();
            async move {
                let next = next?;
                loop {
                    said.borrow_and_update();
                    let found = recall.kept().from(next, &name);
                    if let Some((number, event)) = found {
                        let next = (!is_answer(&event)).then_some(number + 1);
                        return Some((event, (recall, said, next)));
                    }
                    said.changed().await.ok()?;
                }
            }
        });
        Ok(Box::pin(events))
    }
}
