//! The outcome of a request that several callers need at about the same time.

use std::fmt;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// Caches the last outcome of a request. One caller sends it, concurrent callers wait for its outcome.
pub(crate) struct Recent<T, E>(Mutex<Option<(Instant, Result<T, E>)>>);

impl<T: Clone, E: Clone> Recent<T, E> {
    /// Returns the cached outcome unless it is too old, or else that of `ask`. The first time to live is that of a
    /// success, the second that of a failure.
    pub(crate) async fn get<F>(
        &self,
        (success_ttl, failure_ttl): (Duration, Duration),
        ask: impl FnOnce() -> F,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let mut known = self.0.lock().await;
        if let Some((at, outcome)) = &*known {
            let ttl = if outcome.is_ok() {
                success_ttl
            } else {
                failure_ttl
            };
            if at.elapsed() < ttl {
                return outcome.clone();
            }
        }
        let outcome = Box::pin(ask()).await;
        *known = Some((Instant::now(), outcome.clone()));
        outcome
    }
}

impl<T, E> Default for Recent<T, E> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T, E> fmt::Debug for Recent<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recent").finish_non_exhaustive()
    }
}
