//! Bounds the log lines about refused session ids: a client can send ids without end.

use std::time::Duration;

use tokio::time::Instant;

/// Minimum time between two lines.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct RefusedIds {
    logged: Option<Instant>,
    omitted: u64,
}

impl RefusedIds {
    /// Counts a refused id. Returns the number of refused ids without a line since the last line, or `None` if this one
    /// gets no line either.
    pub(super) fn count(&mut self) -> Option<u64> {
        let now = Instant::now();
        if self
            .logged
            .is_some_and(|logged| now < logged + LOG_INTERVAL)
        {
            self.omitted += 1;
            return None;
        }
        self.logged = Some(now);
        Some(std::mem::take(&mut self.omitted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ids_between_two_lines_are_counted_by_the_next_one() {
        let mut refused = RefusedIds::default();
        assert_eq!(refused.count(), Some(0));
        assert_eq!([refused.count(), refused.count()], [None, None]);
        tokio::time::advance(LOG_INTERVAL).await;
        assert_eq!(refused.count(), Some(2));
        assert_eq!(refused.count(), None);
    }
}
