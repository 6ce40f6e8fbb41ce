//! Rate limits for messages, turns for other tasks, and the backoff between attempts to open a stream.

use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::delay;
use crate::limits::{FILLER_PAUSE, RECONNECT_MAX, RECONNECT_MIN, WORK_QUANTUM};

/// Limits messages to a number per second, in fixed windows of one second.
#[derive(Debug)]
pub(super) struct Rate {
    limit: usize,
    left: usize,
    since: Instant,
}

impl Rate {
    /// Allows `limit` messages per second.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            left: limit,
            since: Instant::now(),
        }
    }

    /// Returns `true` and counts the message if it may pass now.
    pub(super) fn passes(&mut self) -> bool {
        if self.left == 0 {
            if self.since.elapsed() < Duration::from_secs(1) {
                return false;
            }
            *self = Self::new(self.limit);
        }
        self.left -= 1;
        true
    }

    /// Waits until the next message may pass.
    pub(super) async fn pass(&mut self) {
        while !self.passes() {
            tokio::time::sleep_until(self.since + Duration::from_secs(1)).await;
        }
    }
}

/// Gives other tasks a turn after each [`WORK_QUANTUM`] of input.
///
/// Input without messages is slowed down as well, because nobody waits for it.
///
/// Tokio's own budget counts reads, not bytes: a peer whose input is available at once could occupy a worker thread for
/// a tenth of a second.
#[derive(Debug, Default)]
pub(super) struct Turns {
    spent: usize,
}

impl Turns {
    /// Counts this much input, and yields if the quantum is used up. `filler` is the number of bytes since the last
    /// message.
    pub(super) async fn spend(&mut self, bytes: usize, filler: usize) {
        self.spent += bytes;
        if self.spent < WORK_QUANTUM {
            return;
        }
        self.spent = 0;
        if filler < WORK_QUANTUM {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(FILLER_PAUSE).await;
        }
    }
}

/// Exponential backoff between attempts to open a stream, reset when the stream delivers something.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Resets the backoff after the stream delivered something.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Returns the next wait. `wish` is the wait that the server asked for, `longest` the upper bound.
    pub(super) fn next(&mut self, wish: Duration, longest: Duration) -> Duration {
        let first = wish.clamp(RECONNECT_MIN, RECONNECT_MAX);
        let wait = delay(first, longest.max(first), self.failures.min(10));
        self.failures = self.failures.saturating_add(1);
        wait
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn endless_input_leaves_turns_to_other_tasks() {
        let counter = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&counter);
        let mut others = JoinSet::new();
        others.spawn(async move {
            loop {
                count.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        let mut turns = Turns::default();
        for _ in 0..100 {
            turns.spend(WORK_QUANTUM, 0).await;
        }
        let count = counter.load(Ordering::Relaxed);
        assert!(count >= 90, "{count}");
    }

    #[tokio::test(start_paused = true)]
    async fn input_without_messages_is_slowed_down() {
        let (mut turns, begin) = (Turns::default(), Instant::now());
        for _ in 0..100 {
            turns.spend(WORK_QUANTUM, WORK_QUANTUM - 1).await;
        }
        assert_eq!(begin.elapsed(), Duration::ZERO);
        for _ in 0..100 {
            turns.spend(WORK_QUANTUM, WORK_QUANTUM).await;
        }
        assert!(begin.elapsed() >= 100 * FILLER_PAUSE);
    }

    #[test]
    fn backoff_grows_between_its_bounds() {
        let mut backoff = Backoff::default();
        let mut wait = |wish| backoff.next(wish, RECONNECT_MAX);
        assert_eq!(wait(Duration::ZERO), RECONNECT_MIN);
        assert_eq!(wait(Duration::ZERO), RECONNECT_MIN * 2);
        assert_eq!(wait(Duration::from_hours(9)), RECONNECT_MAX);
        for _ in 0..100 {
            wait(Duration::ZERO);
        }
        assert_eq!(wait(Duration::ZERO), RECONNECT_MAX);
        backoff.reset();
        assert_eq!(
            backoff.next(Duration::from_secs(3), RECONNECT_MAX),
            Duration::from_secs(3)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn rate_limit_slows_a_flood() {
        let (mut rate, begin) = (Rate::new(100), Instant::now());
        for _ in 0..300 {
            rate.pass().await;
        }
        assert_eq!(begin.elapsed(), Duration::from_secs(2));
    }
}
