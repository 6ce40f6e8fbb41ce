//! Paces how soon a server's lists are fetched again after it announces a change.

use std::time::Duration;

use crate::limits::{MAX_LIST_PAUSE, MIN_LIST_PAUSE};

/// Outcome of fetching lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FetchOutcome {
    /// The lists differ from those before.
    Changed,
    /// The lists are the same as before.
    Same,
    /// The lists could not be fetched.
    Failed,
}

/// The pauses of one burst of announcements. A burst ends when no announcement arrives during a pause.
#[derive(Debug)]
pub(crate) struct RefreshInterval {
    pause: Duration,
    changes: u32,
}

impl RefreshInterval {
    /// Number of consecutive changes after which the pause doubles, so that lists that never settle are fetched less
    /// often too.
    const BURST: u32 = 8;
    /// Maximum pause while lists change.
    const UNSETTLED: Duration = Duration::from_secs(5);
    /// Maximum pause after a failure.
    const FAILED: Duration = Duration::from_secs(10);

    pub(crate) const fn new() -> Self {
        Self {
            pause: Duration::ZERO,
            changes: 0,
        }
    }

    /// Returns the pause to make after fetching lists with this outcome.
    pub(crate) fn after(&mut self, came: FetchOutcome) -> Duration {
        let doubled = (self.pause * 2).max(MIN_LIST_PAUSE);
        self.pause = match came {
            FetchOutcome::Changed => {
                self.changes += 1;
                let doublings = (self.changes / Self::BURST).min(16);
                (MIN_LIST_PAUSE * 2_u32.pow(doublings)).min(Self::UNSETTLED)
            }
            FetchOutcome::Same => doubled.min(MAX_LIST_PAUSE),
            FetchOutcome::Failed => doubled.min(Self::FAILED),
        };
        self.pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetches_within(secs: u64, came: impl Fn(usize) -> FetchOutcome) -> usize {
        let (mut pace, mut passed, mut count) = (RefreshInterval::new(), Duration::ZERO, 0);
        while passed < Duration::from_secs(secs) {
            passed += pace.after(came(count));
            count += 1;
        }
        count
    }

    #[test]
    fn fetch_rate_is_bounded_for_every_outcome() {
        assert!(fetches_within(3, |_| FetchOutcome::Same) <= 6);
        assert!(fetches_within(3600, |_| FetchOutcome::Same) <= 75);
        assert!(fetches_within(3600, |_| FetchOutcome::Failed) <= 400);
        assert!(fetches_within(3600, |_| FetchOutcome::Changed) <= 800);
        let alternating = |n: usize| {
            if n.is_multiple_of(2) {
                FetchOutcome::Changed
            } else {
                FetchOutcome::Same
            }
        };
        assert!(fetches_within(3600, alternating) <= 800);
    }

    #[test]
    fn change_resets_the_pause() {
        let mut pace = RefreshInterval::new();
        for _ in 0..20 {
            pace.after(FetchOutcome::Same);
        }
        assert_eq!(pace.after(FetchOutcome::Same), MAX_LIST_PAUSE);
        assert_eq!(pace.after(FetchOutcome::Changed), MIN_LIST_PAUSE);
    }
}
