//! The backoff of a watch that keeps failing.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use crate::backoff::Backoff;

/// Maximum pause of a watch that keeps failing, without jitter. Starts wait for the watches after an outage of the API
/// server.
const MAX_DELAY: Duration = Duration::from_secs(2);

/// The backoff of a watch that keeps failing, with jitter.
#[derive(Debug)]
pub(crate) struct WatchBackoff(Backoff);

impl Default for WatchBackoff {
    fn default() -> Self {
        Self(Backoff::new(Duration::from_millis(250), MAX_DELAY))
    }
}

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let delay = self.0.next_delay();
        // Jitter, so that clients that were disconnected together do not reconnect together.
        let random = RandomState::new().hash_one(delay) as f64 / u64::MAX as f64;
        Some(delay.mul_f64(0.75 + random / 2.0))
    }
}

impl kube::runtime::utils::Backoff for WatchBackoff {
    fn reset(&mut self) {
        self.0.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_reset() {
        use kube::runtime::utils::Backoff as _;
        let mut backoff = WatchBackoff::default();
        let first = backoff.next().unwrap();
        assert!(first < Duration::from_millis(400), "{first:?}");
        let longest = (0..50).filter_map(|_| backoff.next()).max().unwrap();
        assert!(longest <= MAX_DELAY.mul_f64(1.25) && longest > MAX_DELAY / 2);
        backoff.reset();
        assert!(backoff.next().unwrap() < Duration::from_millis(400));
    }
}
