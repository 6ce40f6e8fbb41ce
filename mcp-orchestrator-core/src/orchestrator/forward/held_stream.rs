//! A streamed reply that keeps its instance in use.

use std::pin::Pin;
use std::task::{Context as Cx, Poll};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use tokio::time::{Instant, Sleep};

use super::deadline::timed_out;
use crate::call::{Reply, ReplyItem};
use crate::limits::MAX_INPUT_ROUNDS;
use crate::pool::Lease;

/// A stream that keeps its instance in use, with a deadline.
pub(super) struct HeldStream {
    reply: Reply,
    lease: Option<Lease>,
    deadline: Pin<Box<Sleep>>,
    /// By how much a request of the server extends the deadline, because its client needs time to answer.
    input_wait: Duration,
    extensions: usize,
}

impl HeldStream {
    pub(super) fn new(reply: Reply, lease: Lease, deadline: Instant, input_wait: Duration) -> Self {
        Self {
            reply,
            lease: Some(lease),
            deadline: Box::pin(tokio::time::sleep_until(deadline)),
            input_wait,
            extensions: 0,
        }
    }

    fn extend(&mut self, call_timeout: Duration) {
        if self.extensions < MAX_INPUT_ROUNDS {
            self.extensions += 1;
            let until = Instant::now() + self.input_wait + call_timeout;
            self.deadline.as_mut().reset(until);
        }
    }
}

impl Stream for HeldStream {
    type Item = ReplyItem;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Cx<'_>) -> Poll<Option<ReplyItem>> {
        let Some(lease) = &self.lease else {
            return Poll::Ready(None);
        };
        let (key, limit) = (lease.key.clone(), lease.spec.server.limits.call_timeout);
        if let Poll::Ready(mut item) = self.reply.poll_next_unpin(cx) {
            if let Some(ReplyItem::Request(request)) = &mut item {
                request.origin = Some(key);
                self.extend(limit);
            }
            if !matches!(
                item,
                Some(ReplyItem::Notification(_) | ReplyItem::Request(_))
            ) {
                self.lease = None;
            }
            return Poll::Ready(item);
        }
        if self.deadline.as_mut().poll(cx).is_ready() {
            self.lease = None;
            return Poll::Ready(Some(ReplyItem::Failed(timed_out(key.server(), limit))));
        }
        Poll::Pending
    }
}
