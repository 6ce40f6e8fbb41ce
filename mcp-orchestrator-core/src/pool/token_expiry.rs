//! When the token of an instance expires, and whether the instance was used since it received it.

use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::credential::Credential;

/// Minimum time before its expiry at which a token is renewed.
const RENEW_BEFORE_EXPIRY: Duration = Duration::from_mins(5);
/// Delay before the token is requested again.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// When the token of an instance expires, and when a new one is needed.
#[derive(Debug)]
pub(super) struct TokenExpiry(Mutex<Times>);

#[derive(Clone, Copy, Debug)]
struct Times {
    /// How long the instance took to start.
    start: Duration,
    end: Option<Instant>,
    /// From when on a new token is needed.
    due: Option<Instant>,
    /// Number of calls served when the token was set.
    served: u64,
}

impl Times {
    fn new(credential: &Credential, start: Duration, served: u64) -> Self {
        let now = Instant::now();
        let left = credential.expires_at.map(|end| {
            let left = end.duration_since(SystemTime::now());
            left.unwrap_or_default()
        });
        // A short-lived token is renewed after half of its lifetime.
        let ahead = |left: Duration| RENEW_BEFORE_EXPIRY.max(start * 2).min(left / 2);
        Self {
            start,
            end: left.map(|left| now + left),
            due: left.map(|left| now + (left - ahead(left))),
            served,
        }
    }
}

impl TokenExpiry {
    /// Creates the state for an instance that took `start` to start.
    pub(super) fn new(credential: &Credential, start: Duration) -> Self {
        Self(Mutex::new(Times::new(credential, start, 0)))
    }

    /// Records the token that the instance holds now, and the number of calls served before.
    pub(super) fn is_now(&self, credential: &Credential, served: u64) {
        let mut times = self.0.lock();
        *times = Times::new(credential, times.start, served);
    }

    pub(super) fn ends(&self) -> bool {
        self.0.lock().end.is_some()
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.lock().end.is_some_and(|end| end <= Instant::now())
    }

    /// Returns the time until a new token is needed, or `None` if the token does not expire.
    pub(super) fn due_in(&self) -> Option<Duration> {
        let due = self.0.lock().due?;
        Some(due.saturating_duration_since(Instant::now()))
    }

    pub(super) fn asked(&self) {
        self.0.lock().due = Some(Instant::now() + RETRY_INTERVAL);
    }

    pub(super) fn was_used(&self, served: u64) -> bool {
        served > self.0.lock().served
    }
}
