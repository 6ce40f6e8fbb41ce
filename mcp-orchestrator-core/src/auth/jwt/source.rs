//! Cache of an issuer's keys. One request serves all waiters; keys are fetched again when they age or when an unknown
//! key is named, and never more often than the pause allows.

use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::errors::JwtError;
use super::fetch::Fetcher;
use super::keys::KeySet;
use super::options::FetchLimits;
use super::remembered::Remembered;
use crate::auth::Algorithm;

/// Caches the keys of one issuer. Dropping it cancels a background refresh.
#[derive(Debug)]
pub(super) struct KeySource {
    asker: Arc<KeyFetcher>,
    /// The request in flight, as long as at least one caller waits for it.
    flight: Mutex<Option<WeakShared<BoxFuture<'static, ()>>>>,
    tracker: TaskTracker,
    cut: CancellationToken,
    _cut_on_drop: DropGuard,
}

#[derive(Debug)]
struct KeyFetcher {
    issuer: String,
    fetcher: Fetcher,
    limits: FetchLimits,
    at_hand: ArcSwap<CachedKeys>,
    remembered: Arc<Remembered>,
}

/// The cached state of an issuer's keys.
#[derive(Clone, Debug, Default)]
struct CachedKeys {
    keys: Option<(Arc<KeySet>, Instant)>,
    /// When the issuer was last asked, and the error if that failed.
    asked: Option<Instant>,
    failure: Option<String>,
}

impl KeySource {
    pub(super) fn new(
        issuer: String,
        fetcher: Fetcher,
        limits: FetchLimits,
        remembered: Arc<Remembered>,
    ) -> Self {
        let cut = CancellationToken::new();
        Self {
            asker: Arc::new(KeyFetcher {
                issuer,
                fetcher,
                limits,
                at_hand: ArcSwap::default(),
                remembered,
            }),
            flight: Mutex::default(),
            tracker: TaskTracker::new(),
            _cut_on_drop: cut.clone().drop_guard(),
            cut,
        }
    }

    /// Returns the keys, including the one with this ID if the issuer lists it.
    pub(super) async fn keys(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<KeySet>, JwtError> {
        if let Some(keys) = self.asker.usable()
            && keys.has(id, algorithm)
        {
            return Ok(keys);
        }
        if self.asker.may_ask() {
            self.flight().await;
        } else if let Some(flight) = self.on_its_way() {
            flight.await;
        }
        let keys = self.asker.usable().ok_or_else(|| self.asker.no_keys())?;
        if self.asker.at_hand.load().failure.is_some() && !keys.has(id, algorithm) {
            // The issuer may have added this key since the last successful fetch.
            return Err(self.asker.no_keys());
        }
        Ok(keys)
    }

    /// Fetches the keys and returns the error if that failed.
    pub(super) async fn fetch(&self) -> Result<(), JwtError> {
        self.flight().await;
        match &self.asker.at_hand.load().failure {
            None => Ok(()),
            Some(_) => Err(self.asker.no_keys()),
        }
    }

    /// Refreshes old keys in the background while the cached ones stay in use.
    pub(super) fn renew(&self) {
        if self.asker.is_old() && self.asker.may_ask() && self.on_its_way().is_none() {
            let flight = self.flight();
            self.tracker
                .spawn(self.cut.clone().run_until_cancelled_owned(flight));
        }
    }

    fn on_its_way(&self) -> Option<Shared<BoxFuture<'static, ()>>> {
        let flight = self.flight.lock();
        let flight = flight.as_ref()?.upgrade()?;
        flight.peek().is_none().then_some(flight)
    }

    /// Joins the request in flight, or starts a new one.
    fn flight(&self) -> Shared<BoxFuture<'static, ()>> {
        let mut known = self.flight.lock();
        let flight = known.as_ref().and_then(WeakShared::upgrade);
        if let Some(flight) = flight.filter(|flight| flight.peek().is_none()) {
            return flight;
        }
        let asker = Arc::clone(&self.asker);
        let flight = async move { asker.ask().await }.boxed().shared();
        *known = flight.downgrade();
        flight
    }
}

impl KeyFetcher {
    /// Returns the cached keys unless they are too old to use.
    fn usable(&self) -> Option<Arc<KeySet>> {
        let at_hand = self.at_hand.load();
        let (keys, fetched) = at_hand.keys.as_ref()?;
        (fetched.elapsed() < self.limits.stale).then(|| Arc::clone(keys))
    }

    fn is_old(&self) -> bool {
        let at_hand = self.at_hand.load();
        let fetched = at_hand.keys.as_ref().map(|(_, fetched)| fetched);
        fetched.is_some_and(|fetched| fetched.elapsed() >= self.limits.fresh)
    }

    fn may_ask(&self) -> bool {
        let asked = self.at_hand.load().asked;
        asked.is_none_or(|asked| asked.elapsed() >= self.limits.pause)
    }

    fn no_keys(&self) -> JwtError {
        let failure = self.at_hand.load().failure.clone();
        JwtError::NoKeys {
            issuer: self.issuer.clone(),
            why: failure.unwrap_or_else(|| "they are too old".to_owned()),
        }
    }

    async fn ask(&self) {
        let answer = self.fetcher.keys().await;
        let now = Instant::now();
        let before = CachedKeys::clone(&self.at_hand.load());
        let after = match answer {
            Ok(keys) => CachedKeys {
                keys: Some((Arc::new(keys), now)),
                asked: Some(now),
                failure: None,
            },
            Err(failure) => CachedKeys {
                keys: before.keys.clone(),
                asked: Some(now),
                failure: Some(failure),
            },
        };
        if after.failure != before.failure {
            match &after.failure {
                Some(error) => {
                    tracing::warn!(issuer = self.issuer, error, "keys cannot be fetched");
                }
                None => tracing::info!(issuer = self.issuer, "keys can be fetched again"),
            }
        }
        let gone = match (&before.keys, &after.keys) {
            (Some((before, _)), Some((after, _))) => !after.has_all_of(before),
            _ => false,
        };
        self.at_hand.store(Arc::new(after));
        if gone {
            tracing::info!(
                issuer = self.issuer,
                "a key was removed; verified tokens are verified again"
            );
            self.remembered.forget();
        }
    }
}
