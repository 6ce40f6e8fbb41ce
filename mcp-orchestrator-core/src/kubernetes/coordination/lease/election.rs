//! The election state machine: what to do next, given when the Lease was seen in which state. It performs no I/O.
//!
//! The clocks of other machines are not trusted: a Lease has expired when it has not changed for its whole term by
//! the local clock.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use tokio::time::Instant;

use super::state::LeaseStatus;

/// How long a Lease is valid without being renewed.
pub(crate) const LEASE_DURATION: Duration = Duration::from_secs(15);
/// The renewal interval, and the timeout of a renewal.
pub(crate) const RENEW_INTERVAL: Duration = Duration::from_secs(5);
/// After this long without a renewal the holder stops writing, well before another process may take over.
const RENEW_DEADLINE: Duration = Duration::from_secs(12);

/// The relevant fields of a Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    holder: String,
    /// The resource version, which changes with every write of any client.
    version: String,
    term: Duration,
}

impl Record {
    /// Returns the identity of the holder, or an empty string if the Lease has no holder.
    pub(crate) fn holder(&self) -> &str {
        &self.holder
    }

    pub(crate) fn of(lease: &Lease) -> Self {
        let spec = lease.spec.clone().unwrap_or_default();
        let seconds = spec
            .lease_duration_seconds
            .and_then(|seconds| u64::try_from(seconds).ok());
        Self {
            holder: spec.holder_identity.unwrap_or_default(),
            version: lease.metadata.resource_version.clone().unwrap_or_default(),
            term: seconds.map_or(LEASE_DURATION, Duration::from_secs),
        }
    }
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Write the Lease as ours: it is ours, has no holder, or has expired.
    Write,
    /// Read the Lease again after this time.
    Wait(Duration),
}

/// What has been seen and done so far.
#[derive(Debug)]
pub(crate) struct Election {
    identity: String,
    seen: Option<Record>,
    /// When the Lease was first seen in its current state.
    unchanged: Instant,
    /// When this process last wrote the Lease.
    renewed: Option<Instant>,
    failed: Option<String>,
    asked: bool,
}

impl Election {
    pub(crate) fn new(identity: &str) -> Self {
        Self {
            identity: identity.to_owned(),
            seen: None,
            unchanged: Instant::now(),
            renewed: None,
            failed: None,
            asked: false,
        }
    }

    /// Records the Lease as read; `None` if it does not exist.
    pub(crate) fn observe(&mut self, record: Option<Record>) {
        self.asked = true;
        self.failed = None;
        if self.seen != record {
            self.unchanged = Instant::now();
            self.seen = record;
        }
        if self
            .seen
            .as_ref()
            .is_none_or(|seen| seen.holder != self.identity)
        {
            self.renewed = None;
        }
    }

    /// Records our own write; `began` is the time before it was sent.
    pub(crate) fn record_write(&mut self, record: Record, began: Instant) {
        self.asked = true;
        self.failed = None;
        self.unchanged = Instant::now();
        self.renewed = (record.holder == self.identity).then_some(began);
        self.seen = Some(record);
    }

    /// Records that the cluster could not be reached.
    pub(crate) fn record_failure(&mut self, why: String) {
        self.failed = Some(why);
    }

    /// Decides what to do next.
    pub(crate) fn next(&self, now: Instant) -> Step {
        let Some(seen) = &self.seen else {
            return Step::Write;
        };
        let left = (self.unchanged + seen.term).saturating_duration_since(now);
        if seen.holder.is_empty() || seen.holder == self.identity || left.is_zero() {
            return Step::Write;
        }
        Step::Wait(left.min(RENEW_INTERVAL / 2))
    }

    /// Returns who holds the Lease, as far as known.
    pub(crate) fn held(&self, now: Instant) -> LeaseStatus {
        if let Some(renewed) = self.renewed {
            let sure = now.saturating_duration_since(renewed) < RENEW_DEADLINE;
            return match &self.failed {
                _ if sure => LeaseStatus::Ours,
                Some(why) => LeaseStatus::Unsure(why.clone()),
                None => LeaseStatus::Unsure("it was not renewed in time".to_owned()),
            };
        }
        match (&self.seen, &self.failed) {
            (_, Some(why)) => LeaseStatus::Unknown(Some(why.clone())),
            (Some(seen), None) if !seen.holder.is_empty() && seen.holder != self.identity => {
                LeaseStatus::Theirs(seen.holder.clone())
            }
            _ => LeaseStatus::Unknown(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(holder: &str, version: u32) -> Record {
        Record {
            holder: holder.to_owned(),
            version: version.to_string(),
            term: LEASE_DURATION,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn free_or_own_lease_is_acquired_at_once() {
        for seen in [None, Some(record("", 1)), Some(record("us", 1))] {
            let mut election = Election::new("us");
            election.observe(seen);
            assert_eq!(election.next(Instant::now()), Step::Write);
            assert!(
                !election.held(Instant::now()).is_ours(),
                "it is not written yet"
            );
            election.record_write(record("us", 2), Instant::now());
            assert_eq!(election.held(Instant::now()), LeaseStatus::Ours);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn foreign_lease_is_acquired_after_an_unchanged_term() {
        let mut election = Election::new("us");
        election.observe(Some(record("them", 1)));
        assert_eq!(
            election.held(Instant::now()),
            LeaseStatus::Theirs("them".to_owned())
        );
        assert_eq!(
            election.next(Instant::now()),
            Step::Wait(RENEW_INTERVAL / 2)
        );
        tokio::time::advance(LEASE_DURATION - Duration::from_secs(1)).await;
        election.observe(Some(record("them", 1)));
        let soon = Step::Wait(Duration::from_secs(1));
        assert_eq!(election.next(Instant::now()), soon);
        // The other process has renewed the Lease, so its term starts again.
        election.observe(Some(record("them", 2)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(
            election.next(Instant::now()),
            Step::Wait(RENEW_INTERVAL / 2)
        );
        tokio::time::advance(LEASE_DURATION).await;
        election.observe(Some(record("them", 2)));
        assert_eq!(election.next(Instant::now()), Step::Write);
    }

    #[tokio::test(start_paused = true)]
    async fn holder_that_cannot_renew_stops_writing_until_it_can() {
        let mut election = Election::new("us");
        election.record_write(record("us", 1), Instant::now());
        tokio::time::advance(RENEW_INTERVAL).await;
        election.record_failure("no answer".to_owned());
        assert_eq!(
            election.held(Instant::now()),
            LeaseStatus::Ours,
            "for a while"
        );
        tokio::time::advance(RENEW_DEADLINE - RENEW_INTERVAL).await;
        let unsure = LeaseStatus::Unsure("no answer".to_owned());
        assert_eq!(election.held(Instant::now()), unsure);
        assert_eq!(election.next(Instant::now()), Step::Write, "it tries on");
        election.record_write(record("us", 2), Instant::now());
        assert_eq!(election.held(Instant::now()), LeaseStatus::Ours);
        // Meanwhile another process has taken over the Lease.
        election.observe(Some(record("them", 3)));
        assert_eq!(
            election.held(Instant::now()),
            LeaseStatus::Theirs("them".to_owned())
        );
    }

    #[tokio::test(start_paused = true)]
    async fn holder_is_unknown_if_the_lease_cannot_be_read() {
        let mut election = Election::new("us");
        assert_eq!(election.held(Instant::now()), LeaseStatus::Unknown(None));
        election.record_failure("refused".to_owned());
        let why = LeaseStatus::Unknown(Some("refused".to_owned()));
        assert_eq!(election.held(Instant::now()), why);
    }
}
