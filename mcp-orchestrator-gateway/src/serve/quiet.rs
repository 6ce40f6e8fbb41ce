//! Waits for rare events beside a busy future.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

/// A future that is polled only when it was woken itself.
///
/// A connection is polled for each read and write. If it also polled its cancellation tokens and timers each time, they
/// would cost several percent of a request.
pub(super) struct Quiet<'a, T>(FuturesUnordered<BoxFuture<'a, T>>);

impl<'a, T> Quiet<'a, T> {
    pub(super) fn new(event: impl Future<Output = T> + Send + 'a) -> Self {
        let event: BoxFuture<'a, T> = Box::pin(event);
        Self(FuturesUnordered::from_iter([event]))
    }
}

impl<T> Future for Quiet<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        // Without an event left, the output was taken.
        ready!(self.0.poll_next_unpin(cx)).map_or(Poll::Pending, Poll::Ready)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn event_is_polled_only_when_it_is_woken() {
        let (polls, wake) = (AtomicUsize::new(0), Arc::new(Notify::new()));
        let event = async {
            let mut woken = std::pin::pin!(wake.notified());
            std::future::poll_fn(|cx| {
                polls.fetch_add(1, Ordering::Relaxed);
                woken.as_mut().poll(cx)
            })
            .await;
        };
        let mut quiet = Quiet::new(event);
        for _ in 0..10 {
            let polled = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut quiet).poll(cx)));
            assert!(polled.await.is_pending());
        }
        assert_eq!(polls.load(Ordering::Relaxed), 1);
        wake.notify_one();
        quiet.await;
        assert_eq!(polls.load(Ordering::Relaxed), 2);
    }
}
