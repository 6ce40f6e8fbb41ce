//! Retries requests that RBAC forbids while an API server starts.
//!
//! An API server that has just restarted responds before it has loaded its Roles, and for a few moments forbids what
//! they allow. Such a request is retried for a while if it was allowed before, if a SelfSubjectAccessReview says that it
//! is allowed, or if the review itself is forbidden, which Kubernetes allows every account by default. The error names
//! the missing rule unless the review allows the request.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::access::Access;
use super::access_review::review_right;
use super::errors::Action;
use super::rejection::{Rejection, is_rbac_denial};
use crate::backoff::Backoff;
use crate::error::ErrorKind;

/// How long a forbidden request is retried.
const RETRY_TIMEOUT: Duration = Duration::from_secs(10);
/// The delays between attempts.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));

/// The retry state of one request.
pub(crate) struct ForbiddenRetry<'a> {
    access: &'a Access,
    action: Action<'a>,
    until: Instant,
    backoff: Backoff,
}

/// What to do with a failed request.
pub(crate) enum Decision {
    /// Retry it now.
    Retry,
    /// Give up.
    Fail(Rejection),
}

impl<'a> ForbiddenRetry<'a> {
    pub(crate) fn new(access: &'a Access, action: Action<'a>) -> Self {
        Self {
            access,
            action,
            until: Instant::now() + RETRY_TIMEOUT,
            backoff: BACKOFF,
        }
    }

    /// Records that the request succeeded.
    pub(crate) fn succeeded(&self) {
        self.access.allowed().add(self.action.right());
    }

    /// Decides whether to retry a failed request, and waits for the delay first.
    pub(crate) async fn failed(&mut self, error: kube::Error) -> Decision {
        if !is_rbac_denial(&error) {
            return Decision::Fail(error.into());
        }
        let reviewed = review_right(self.access, self.action.right()).await;
        let allowed = matches!(reviewed, Ok(None));
        let is_review_denied = reviewed.is_err_and(|error| error.kind() == ErrorKind::Config);
        let was_allowed = self.access.allowed().contains(self.action.right());
        let retries = allowed || is_review_denied || was_allowed;
        let delay = self.backoff.next_delay();
        if !retries || Instant::now() + delay > self.until {
            return Decision::Fail(Rejection { error, allowed });
        }
        tracing::debug!(action = %self.action, allowed, "refused what was allowed: asking again");
        sleep(delay).await;
        Decision::Retry
    }
}

impl Access {
    /// Sends a request, and retries it while a 403 response may be temporary.
    pub(crate) async fn send<T, F>(
        &self,
        action: Action<'_>,
        request: impl Fn() -> F,
    ) -> Result<T, Rejection>
    where
        F: Future<Output = Result<T, kube::Error>>,
    {
        let mut retry = ForbiddenRetry::new(self, action);
        loop {
            match request().await {
                Ok(done) => {
                    retry.succeeded();
                    return Ok(done);
                }
                Err(error) => {
                    if let Decision::Fail(rejection) = retry.failed(error).await {
                        return Err(rejection);
                    }
                }
            }
        }
    }
}
