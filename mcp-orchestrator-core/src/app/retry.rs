//! Whether a start waits for a cluster that does not respond.

use std::time::Duration;

use crate::backoff::Backoff;
use crate::error::{ErrorKind, Result};

/// The delays between attempts.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));

/// Whether a start waits for a cluster that does not respond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenUnavailable {
    /// Fails at once, as for an interactive command.
    #[default]
    Fail,
    /// Waits until the cluster responds, as for a gateway.
    Wait,
}

impl WhenUnavailable {
    /// Calls `operation`, and retries while there is no response and waiting is allowed.
    ///
    /// # Errors
    /// The error that was returned; a missing response is returned as an error only if waiting is not allowed.
    pub(crate) async fn retry<T, F: Future<Output = Result<T>>>(
        self,
        operation: impl Fn() -> F,
    ) -> Result<T> {
        let mut backoff = BACKOFF;
        let mut waited = false;
        loop {
            let error = match operation().await {
                Ok(answer) => {
                    if waited {
                        tracing::info!("the API server responds, continuing the start");
                    }
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let unanswered = matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::TimedOut);
            if self == Self::Fail || !unanswered {
                return Err(error);
            }
            if !std::mem::replace(&mut waited, true) {
                tracing::warn!(%error, "the cluster does not answer: the start waits for it");
            }
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::error::Error;

    async fn asked(when_unavailable: WhenUnavailable, kind: ErrorKind) -> (Result<()>, usize) {
        let asked = AtomicUsize::new(0);
        let answer = when_unavailable.retry(|| async {
            match asked.fetch_add(1, Ordering::Relaxed) {
                0..30 => Err(Error::new(kind, "no")),
                _ => Ok(()),
            }
        });
        (answer.await, asked.load(Ordering::Relaxed))
    }

    #[tokio::test(start_paused = true)]
    async fn gateway_waits_only_while_the_cluster_does_not_respond() {
        for kind in [ErrorKind::Unavailable, ErrorKind::TimedOut] {
            let (answer, times) = asked(WhenUnavailable::Wait, kind).await;
            assert!(answer.is_ok() && times == 31);
            let (answer, times) = asked(WhenUnavailable::Fail, kind).await;
            assert!(answer.is_err() && times == 1);
        }
        let (answer, times) = asked(WhenUnavailable::Wait, ErrorKind::Config).await;
        assert!(answer.is_err() && times == 1);
    }
}
