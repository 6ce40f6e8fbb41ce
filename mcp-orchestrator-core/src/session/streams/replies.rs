//! The replies to a session's calls, kept so that the client can read them after its connection broke.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use tokio_util::task::TaskTracker;

use super::Streams;
use crate::call::{EventId, Reply, ReplyItem};
use crate::error::{Error, ErrorKind};
use crate::session::{InFlight, Session};

impl Session {
    /// Keeps a reply for this client: it continues if the client's connection breaks, and can be resumed.
    pub(crate) fn keep(
        self: &Arc<Self>,
        mut reply: Reply,
        in_flight: InFlight,
        tasks: &TaskTracker,
    ) -> Reply {
        let number = self.streams.open();
        let session = Arc::clone(self);
        let (cancelled, mut in_flight) = (in_flight.token.clone(), Some(in_flight));
        tasks.spawn(async move {
            loop {
                let item = tokio::select! {
                    item = reply.next() => item,
                    () = cancelled.cancelled() => None,
                };
                let Some(item) = item else { break };
                if matches!(item, ReplyItem::Response(_) | ReplyItem::Failed(_)) {
                    // Before the client can receive it, because it may reuse the id from then on.
                    in_flight = None;
                }
                if let Some(event) = session.event(item) {
                    session.streams.push(number, event);
                }
            }
            drop(in_flight);
            session.streams.finish(number);
        });
        self.read(EventId {
            stream: number,
            seq: 0,
        })
    }

    /// Returns a stream of the events after this one. The stream of a call that is not known any more consists of an
    /// error, which ends the call for its client.
    pub(crate) fn read(&self, after: EventId) -> Reply {
        let items = if after.is_general() || self.streams.has(after.stream) {
            Streams::read(&self.streams, after).boxed()
        } else {
            let seq = after.seq.saturating_add(1);
            let lost = (EventId { seq, ..after }, ReplyItem::Failed(lost_call()));
            stream::iter([lost]).boxed()
        };
        Reply::resumable(items, after, self.is_primed())
    }

    /// Opens the stream of messages that belong to no call. Ends one that is already open.
    pub(crate) fn listen(&self) -> Reply {
        let (after, events) = Streams::listen(&self.streams);
        Reply::resumable(events.boxed(), after, self.is_primed())
    }
}

fn lost_call() -> Error {
    let text = "the reply to this call is lost: the gateway that ran it has ended, or no longer keeps the reply. The call \
                may have taken effect";
    Error::new(ErrorKind::Unavailable, text)
}
