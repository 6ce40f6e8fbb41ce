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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::{Value, json};

    use crate::error::{ErrorKind, Result};
    use crate::runtime::kubernetes::tests::api_server::{Answer, backend, list, server, status};

    /// The cluster's response to access reviews.
    #[derive(Clone, Copy)]
    enum Review {
        Allows,
        Denies,
        /// The review itself is forbidden.
        Forbidden,
    }

    fn forbidden() -> Answer {
        let mut refused = status(403, "Forbidden");
        refused["message"] = json!("pods \"p\" is forbidden: User \"u\" cannot delete resource");
        Answer::Whole(403, refused)
    }

    fn reviewed(review: Review) -> Answer {
        let allowed = match review {
            Review::Allows => true,
            Review::Denies => false,
            Review::Forbidden => return forbidden(),
        };
        Answer::Whole(201, json!({ "spec": {}, "status": { "allowed": allowed } }))
    }

    /// Ends a pod `times` times. The cluster forbids the n-th request if `refuses(n)`. Returns the results, and how many
    /// requests the cluster received.
    async fn ended(
        times: usize,
        review: Review,
        refuses: impl Fn(usize) -> bool + Send + Sync + 'static,
    ) -> (Vec<Result<()>>, usize) {
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        let (_serving, address) = server(move |path| {
            if path.contains("/selfsubjectaccessreviews") {
                return reviewed(review);
            }
            if path.contains("/pods/p") {
                return match refuses(counted.fetch_add(1, Ordering::SeqCst)) {
                    true => forbidden(),
                    false => Answer::Whole(200, status(200, "")),
                };
            }
            match path.contains("watch=true") {
                true => Answer::Watch(Vec::<Value>::new()),
                false => list(&[]),
            }
        })
        .await;
        let backend = backend(&address).await;
        let mut ended = Vec::new();
        for _ in 0..times {
            ended.push(backend.0.writer.end_pod("p", "uid", 1).await);
        }
        (ended, requests.load(Ordering::SeqCst))
    }

    #[tokio::test]
    async fn previously_allowed_request_is_retried_regardless_of_the_review() {
        let (ended, requests) = ended(2, Review::Denies, |nth| (1..4).contains(&nth)).await;
        assert!(ended.iter().all(Result::is_ok), "{ended:?}");
        assert_eq!(requests, 5);
    }

    #[tokio::test]
    async fn request_allowed_by_the_review_is_retried() {
        let (ended, requests) = ended(1, Review::Allows, |nth| nth < 2).await;
        assert!(ended.iter().all(Result::is_ok), "{ended:?}");
        assert_eq!(requests, 3);
    }

    #[tokio::test]
    async fn request_is_retried_if_the_review_itself_is_forbidden() {
        let (ended, requests) = ended(1, Review::Forbidden, |nth| nth < 3).await;
        assert!(ended.iter().all(Result::is_ok), "{ended:?}");
        assert_eq!(requests, 4);
    }

    #[tokio::test]
    async fn request_denied_by_the_review_fails_at_once_with_its_rule() {
        let (ended, requests) = ended(1, Review::Denies, |_| true).await;
        let error = ended[0].as_ref().unwrap_err();
        assert_eq!((error.kind(), requests), (ErrorKind::Config, 1));
        assert!(
            error.to_string().contains("the Role needs the rule"),
            "{error}"
        );
    }
}
