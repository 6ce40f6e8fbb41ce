//! The deadline of a call.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, sleep_until};

use crate::error::{Error, ErrorKind};
use crate::id::ServerId;

/// Polls a future until the deadline. Returns `None` if the deadline passes first.
///
/// A timer costs as much as several steps of a call. With `repolled_at`, it is therefore set up by the first poll at or
/// after that time, and most calls are answered before. The caller guarantees that such a poll takes place before the
/// deadline, whether or not the future is woken.
pub(super) async fn until<F: Future>(
    deadline: Instant,
    repolled_at: Option<Instant>,
    mut future: Pin<&mut F>,
) -> Option<F::Output> {
    let mut timer: Option<BoxFuture<'static, ()>> = None;
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        if timer.is_none() && repolled_at.is_some_and(|at| Instant::now() < at) {
            return Poll::Pending;
        }
        // Not subject to the budget of the task: a future that always exhausts it would never time out.
        let timer = timer.get_or_insert_with(|| unconstrained(sleep_until(deadline)).boxed());
        timer.as_mut().poll(cx).map(|()| None)
    })
    .await
}

/// Returns the error of a call that took too long.
pub(in crate::orchestrator) fn timed_out(server: &ServerId, limit: Duration) -> Error {
    let text = format!(
        "server {server} did not answer within {} s",
        limit.as_secs_f32()
    );
    Error::new(ErrorKind::TimedOut, text).with_server(server)
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::pin::pin;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[tokio::test(start_paused = true)]
    async fn deadline_ends_a_future_that_never_completes() {
        let deadline = soon();
        assert_eq!(until(deadline, None, pin!(pending::<()>())).await, None);
        assert_eq!(Instant::now(), deadline);
    }

    #[tokio::test(start_paused = true)]
    async fn deferred_timer_is_set_up_by_the_promised_poll() {
        let deadline = soon();
        let repolled_at = Instant::now() + Duration::from_secs(1);
        let mut future = pin!(pending::<()>());
        let mut call = pin!(until(deadline, Some(repolled_at), future.as_mut()));
        for _ in 0..3 {
            // Polls before the promised one.
            assert!(call.as_mut().now_or_never().is_none());
        }
        let repolled = tokio::time::timeout_at(repolled_at, call.as_mut());
        assert!(repolled.await.is_err());
        // Nothing but the timer of the deadline wakes this task.
        assert_eq!(call.await, None);
        assert_eq!(Instant::now(), deadline);
    }

    #[tokio::test(start_paused = true)]
    async fn answer_is_returned_before_the_deadline() {
        for repolled_at in [None, Some(Instant::now())] {
            let answer = until(soon(), repolled_at, pin!(ready(1))).await;
            assert_eq!(answer, Some(1));
        }
    }
}
