//! Limits on what a caller can consume of issuers and of the store by beginning sign-ins.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::errors::OAuthError;
use crate::limits::{
    MAX_REGISTRATIONS, MAX_REGISTRATIONS_PER_CALLER, MAX_SIGN_INS, MAX_SIGN_INS_PER_CALLER,
    SIGN_IN_LIFE,
};

/// Counts recent sign-ins and registrations. Entries expire after [`SIGN_IN_LIFE`].
#[derive(Debug, Default)]
pub(super) struct Quota(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Open sign-ins per caller: the state, and when each began.
    sign_ins: HashMap<String, VecDeque<(String, Instant)>>,
    /// When clients were registered, per caller and issuer.
    registrations: HashMap<(String, String), VecDeque<Instant>>,
}

impl Quota {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        let mut counts = self.0.lock();
        counts.forget(Instant::now());
        counts
    }

    /// Counts a new sign-in.
    ///
    /// # Errors
    /// [`OAuthError::TooMany`] if this caller, or all callers together, have too many open sign-ins.
    pub(super) fn begin(&self, for_whom: &str, state: &str) -> Result<(), OAuthError> {
        let mut counts = self.counts();
        let all: usize = counts.sign_ins.values().map(VecDeque::len).sum();
        let own = counts.sign_ins.get(for_whom);
        let first = own.and_then(|own| own.front()).map(|(_, at)| *at);
        if own.map_or(0, VecDeque::len) >= MAX_SIGN_INS_PER_CALLER {
            return Err(too_many("sign-ins are in progress", first));
        }
        if all >= MAX_SIGN_INS {
            return Err(too_many("sign-ins are on their way", None));
        }
        let own = counts.sign_ins.entry(for_whom.to_owned()).or_default();
        own.push_back((state.to_owned(), Instant::now()));
        Ok(())
    }

    /// Removes a sign-in that was completed or failed to begin.
    pub(super) fn end(&self, for_whom: &str, state: &str) {
        if let Some(own) = self.counts().sign_ins.get_mut(for_whom) {
            own.retain(|(known, _)| known != state);
        }
    }

    /// Counts a registration that is about to be made.
    ///
    /// # Errors
    /// [`OAuthError::TooMany`] if this caller at this issuer, or all callers together, caused too many recently.
    pub(super) fn registration(&self, for_whom: &str, issuer: &str) -> Result<(), OAuthError> {
        let mut counts = self.counts();
        let all: usize = counts.registrations.values().map(VecDeque::len).sum();
        let key = (for_whom.to_owned(), issuer.to_owned());
        let own = counts.registrations.entry(key).or_default();
        if own.len() >= MAX_REGISTRATIONS_PER_CALLER {
            let first = own.front().copied();
            return Err(too_many("clients were registered at its issuer", first));
        }
        if all >= MAX_REGISTRATIONS {
            return Err(too_many("clients were registered at issuers", None));
        }
        own.push_back(Instant::now());
        Ok(())
    }
}

impl Counts {
    fn forget(&mut self, now: Instant) {
        let is_over = |at: Instant| now.saturating_duration_since(at) >= SIGN_IN_LIFE;
        self.sign_ins.retain(|_, own| {
            own.retain(|(_, at)| !is_over(*at));
            !own.is_empty()
        });
        self.registrations.retain(|_, own| {
            own.retain(|at| !is_over(*at));
            !own.is_empty()
        });
    }
}

fn too_many(what: &'static str, first: Option<Instant>) -> OAuthError {
    let passed = first.map_or(Duration::ZERO, |first| first.elapsed());
    let left = SIGN_IN_LIFE.saturating_sub(passed);
    OAuthError::TooMany {
        what,
        after: left.max(Duration::from_secs(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn sign_in_quota_is_per_caller_and_is_restored() {
        let quota = Quota::default();
        for state in 0..MAX_SIGN_INS_PER_CALLER {
            quota.begin("ann", &state.to_string()).unwrap();
        }
        let error = quota.begin("ann", "more").unwrap_err();
        assert!(
            matches!(error, OAuthError::TooMany { after, .. } if after == SIGN_IN_LIFE),
            "{error}"
        );
        quota.begin("bob", "other").unwrap();
        quota.end("ann", "0");
        quota.begin("ann", "more").unwrap();
        tokio::time::advance(SIGN_IN_LIFE).await;
        quota.begin("ann", "later").unwrap();
        assert_eq!(quota.counts().sign_ins.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn registrations_are_limited_per_caller_and_issuer_and_in_total() {
        let quota = Quota::default();
        for _ in 0..MAX_REGISTRATIONS_PER_CALLER {
            quota.registration("ann", "https://a.example").unwrap();
        }
        assert!(quota.registration("ann", "https://a.example").is_err());
        quota.registration("ann", "https://b.example").unwrap();
        quota.registration("bob", "https://a.example").unwrap();
        let mut all = MAX_REGISTRATIONS_PER_CALLER + 2;
        for caller in 0.. {
            if quota
                .registration(&caller.to_string(), "https://a.example")
                .is_err()
            {
                break;
            }
            all += 1;
        }
        assert_eq!(all, MAX_REGISTRATIONS);
        tokio::time::advance(SIGN_IN_LIFE).await;
        quota.registration("ann", "https://a.example").unwrap();
    }
}
