//! Rate limits for actions that cost others: a bounded set of token buckets by key.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use mcp_orchestrator_core::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::limits::{MAX_RATED_KEYS, SIGN_IN_BURST, SIGN_IN_INTERVAL};

/// Sign-ins by the address or principal that began them. Each may cause requests to another party's servers.
#[derive(Debug)]
pub(crate) struct SignInRate<K>(Mutex<HashMap<K, Bucket>>);

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: usize,
    /// When the last token was added.
    filled: Instant,
}

impl<K> Default for SignInRate<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> SignInRate<K> {
    /// Takes one token.
    ///
    /// # Errors
    /// [`Overloaded`](ErrorKind::Overloaded) if the bucket is empty.
    pub(crate) fn take(&self, key: K) -> Result<()> {
        let now = Instant::now();
        let mut all = self.0.lock();
        if all.len() >= MAX_RATED_KEYS && !all.contains_key(&key) {
            all.retain(|_, bucket| bucket.at(now).left < SIGN_IN_BURST);
            if all.len() >= MAX_RATED_KEYS {
                return Err(too_many(SIGN_IN_INTERVAL));
            }
        }
        let bucket = all.entry(key).or_insert(Bucket {
            left: SIGN_IN_BURST,
            filled: now,
        });
        *bucket = bucket.at(now);
        match bucket.left.checked_sub(1) {
            Some(left) => {
                bucket.left = left;
                Ok(())
            }
            None => Err(too_many(bucket.filled + SIGN_IN_INTERVAL - now)),
        }
    }
}

impl Bucket {
    fn at(self, now: Instant) -> Self {
        let since = now.saturating_duration_since(self.filled);
        let came = since.as_millis() / SIGN_IN_INTERVAL.as_millis();
        let came = u32::try_from(came).unwrap_or(u32::MAX);
        let left = self.left.saturating_add(came as usize);
        if left >= SIGN_IN_BURST {
            return Self {
                left: SIGN_IN_BURST,
                filled: now,
            };
        }
        Self {
            left,
            filled: self.filled + SIGN_IN_INTERVAL * came,
        }
    }
}

fn too_many(retry_after: Duration) -> Error {
    let text = "too many sign-ins were started: try again later";
    Error::new(ErrorKind::Overloaded, text).with_retry_after(retry_after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_key_has_a_burst_and_then_a_slow_rate() {
        let rate = SignInRate::default();
        for _ in 0..SIGN_IN_BURST {
            rate.take("ann").unwrap();
        }
        let refused = rate.take("ann").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Overloaded);
        assert_eq!(refused.retry_after(), Some(SIGN_IN_INTERVAL));
        rate.take("bob").unwrap();
        tokio::time::advance(SIGN_IN_INTERVAL).await;
        rate.take("ann").unwrap();
        assert!(rate.take("ann").is_err());
        tokio::time::advance(SIGN_IN_INTERVAL * 1000).await;
        for _ in 0..SIGN_IN_BURST {
            rate.take("ann").unwrap();
        }
        assert!(rate.take("ann").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn number_of_tracked_keys_is_bounded() {
        let rate = SignInRate::default();
        for key in 0..MAX_RATED_KEYS {
            rate.take(key).unwrap();
        }
        assert!(rate.take(MAX_RATED_KEYS).is_err());
        rate.take(1).unwrap();
        tokio::time::advance(SIGN_IN_INTERVAL).await;
        rate.take(MAX_RATED_KEYS).unwrap();
        assert!(rate.0.lock().len() <= 2);
    }
}
