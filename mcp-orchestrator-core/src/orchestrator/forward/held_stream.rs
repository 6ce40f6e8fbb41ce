//! A streamed reply that keeps its instance in use.

use std::pin::Pin;
use std::task::{Context as Cx, Poll};

use futures_util::{Stream, StreamExt as _};
use tokio::time::{Instant, Sleep};

use super::deadline::timed_out;
use crate::call::{Reply, ReplyItem};
use crate::pool::Lease;

/// A stream that keeps its instance in use, with a deadline.
pub(super) struct HeldStream {
    reply: Reply,
    lease: Option<Lease>,
    deadline: Pin<Box<Sleep>>,
}

impl HeldStream {
    pub(super) fn new(reply: Reply, lease: Lease, deadline: Instant) -> Self {
        Self {
            reply,
            lease: Some(lease),
            deadline: Box::pin(tokio::time::sleep_until(deadline)),
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
