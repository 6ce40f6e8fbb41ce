//! Delays between attempts that keep failing.

use std::time::Duration;

/// Delays that double from the first one up to the longest.
#[cfg(any(
    test,
    feature = "config",
    feature = "kubernetes",
    feature = "oauth",
    all(unix, feature = "process")
))]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

#[cfg(any(
    test,
    feature = "config",
    feature = "kubernetes",
    feature = "oauth",
    all(unix, feature = "process")
))]
impl Backoff {
    /// Creates a backoff that starts with `first`.
    pub(crate) const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            failures: 0,
        }
    }

    /// Returns the delay before the next attempt.
    pub(crate) fn next_delay(&mut self) -> Duration {
        let delay = delay(self.first, self.longest, self.failures);
        self.failures = self.failures.saturating_add(1);
        delay
    }

    /// Starts again with the first delay.
    #[cfg(feature = "kubernetes")]
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Returns the delay after this many earlier delays: `first`, doubled each time, up to `longest`.
pub(crate) fn delay(first: Duration, longest: Duration, earlier: u32) -> Duration {
    first.saturating_mul(1 << earlier.min(31)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest() {
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(1));
        let mut backoff = Backoff::new(first, longest);
        let delays: Vec<_> = (0..6).map(|_| backoff.next_delay().as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(delay(first, Duration::MAX, u32::MAX), first * (1 << 31));
        assert_eq!(delay(Duration::MAX, longest, 40), longest);
    }
}
