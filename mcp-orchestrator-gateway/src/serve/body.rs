//! Bodies of a connection: a request body must keep arriving, and a response body keeps the connection in use.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use super::ConnectionLimits;
use super::connections::Busy;
use super::stalls::{Piece, Stalls};
use crate::request::connection::TooSlow;

/// A request body with a deadline that moves as long as bytes arrive fast enough.
pub(super) struct TimedBody {
    body: Incoming,
    timeout: Duration,
    rate: usize,
    received: usize,
    /// Set when a read first has to wait.
    begun: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl TimedBody {
    pub(super) fn new(body: Incoming, limits: &ConnectionLimits) -> Self {
        Self {
            body,
            timeout: limits.body_timeout,
            rate: limits.min_body_rate.max(1),
            received: 0,
            begun: None,
            timer: None,
        }
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let begun = *self.begun.get_or_insert_with(Instant::now);
        let earned = Duration::from_secs((self.received / self.rate) as u64);
        let deadline = begun + self.timeout + earned;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx)
    }
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.received = self.received.saturating_add(bytes);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => match self.poll_deadline(cx) {
                Poll::Ready(()) => Poll::Ready(Some(Err(TooSlow.into()))),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A response body. Its connection counts as in use until the body ends. A panic in the body ends only that response.
pub(super) struct BusyBody {
    body: Body,
    _busy: Busy,
    /// Set if the client can stop reading this response and still use its connection (HTTP/2).
    stalls: Option<Arc<Stalls>>,
}

impl BusyBody {
    pub(super) fn new(body: Body, busy: Busy, stalls: Option<Arc<Stalls>>) -> Self {
        Self {
            body,
            _busy: busy,
            stalls,
        }
    }
}

impl HttpBody for BusyBody {
    type Data = Piece;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, BoxError>>> {
        let this = &mut *self;
        let body = &mut this.body;
        match catch_unwind(AssertUnwindSafe(|| Pin::new(body).poll_frame(cx))) {
            Ok(Poll::Ready(Some(Ok(frame)))) => {
                let stalls = this.stalls.as_ref();
                Poll::Ready(Some(Ok(frame.map_data(|bytes| Piece::new(bytes, stalls)))))
            }
            Ok(Poll::Ready(Some(Err(error)))) => Poll::Ready(Some(Err(error.into()))),
            Ok(Poll::Ready(None)) => Poll::Ready(None),
            Ok(Poll::Pending) => Poll::Pending,
            Err(panic) => {
                self.body = Body::empty();
                Poll::Ready(Some(Err(panicked(panic).into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Drops the payload of a panic, which may hold anything, without logging it.
pub(super) fn panicked(payload: Box<dyn Any + Send>) -> &'static str {
    // Dropping a payload may itself panic.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
    tracing::debug!("a request panicked");
    "internal error"
}
