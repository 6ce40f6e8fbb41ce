//! The backoff of a watch that keeps failing.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// Maximum pause of a watch that keeps failing.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The backoff of a watch that keeps failing.
#[derive(Debug, Default)]
pub(crate) struct Pauses(u32);

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = Duration::from_millis(250 << self.0.min(6)).min(LONGEST_PAUSE);
        self.0 += 1;
        // Jitter, so that clients that were disconnected together do not reconnect together.
        let random = RandomState::new().hash_one(self.0) as f64 / u64::MAX as f64;
        Some(pause.mul_f64(0.75 + random / 2.0))
    }
}

impl kube::runtime::utils::Backoff for Pauses {
    fn reset(&mut self) {
        self.0 = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_reset() {
        use kube::runtime::utils::Backoff as _;
        let mut pauses = Pauses::default();
        let first = pauses.next().unwrap();
        assert!(first < Duration::from_millis(400), "{first:?}");
        let longest = (0..50).filter_map(|_| pauses.next()).max().unwrap();
        assert!(longest <= LONGEST_PAUSE.mul_f64(1.25) && longest > Duration::from_secs(5));
        pauses.reset();
        assert!(pauses.next().unwrap() < Duration::from_millis(400));
    }
}
