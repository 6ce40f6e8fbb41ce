//! Retries requests that RBAC forbids while an API server starts.
//!
//! An API server that has just restarted responds before it has loaded its Roles, and for a few moments forbids what
//! they allow. Such a request is retried for a while if it was allowed before, or if a SelfSubjectAccessReview says
//! that it is allowed. The error names the missing rule only if the review denies the request as well.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::access::Access;
use super::access_review::may;
use super::errors::Action;
use super::rejection::{Refusal, is_for_want_of_a_right};

/// How long a forbidden request is retried.
const SETTLES: Duration = Duration::from_secs(10);
/// The first and the longest delay between two attempts.
const WAIT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// The retry state of one request.
pub(crate) struct Settling<'a> {
    access: &'a Access,
    action: Action<'a>,
    until: Instant,
    wait: Duration,
}

/// What to do with a failed request.
pub(crate) enum Next {
    /// Retry it now.
    Ask,
    /// Give up.
    Refused(Refusal),
}

impl<'a> Settling<'a> {
    pub(crate) fn new(access: &'a Access, action: Action<'a>) -> Self {
        Self {
            access,
            action,
            until: Instant::now() + SETTLES,
            wait: WAIT.0,
        }
    }

    /// Records that the request succeeded.
    pub(crate) fn done(&self) {
        self.access.allowed().note(self.action.right());
    }

    /// Decides whether to retry a failed request, and waits for the delay first.
    pub(crate) async fn refused(&mut self, error: kube::Error) -> Next {
        if !is_for_want_of_a_right(&error) {
            return Next::Refused(error.into());
        }
        // A review that is itself forbidden proves nothing.
        let allowed = may(self.access, self.action.right()).await;
        let allowed = allowed.is_ok_and(|denied| denied.is_none());
        let settles = allowed || self.access.allowed().has(self.action.right());
        if !settles || Instant::now() + self.wait > self.until {
            return Next::Refused(Refusal { error, allowed });
        }
        tracing::debug!(action = %self.action, allowed, "refused what was allowed: asking again");
        sleep(self.wait).await;
        self.wait = WAIT.1.min(self.wait * 2);
        Next::Ask
    }
}

impl Access {
    /// Sends a request, and retries it while a 403 response may be temporary.
    pub(crate) async fn ask<T, F>(
        &self,
        action: Action<'_>,
        ask: impl Fn() -> F,
    ) -> Result<T, Refusal>
    where
        F: Future<Output = Result<T, kube::Error>>,
    {
        let mut settling = Settling::new(self, action);
        loop {
            match ask().await {
                Ok(done) => {
                    settling.done();
                    return Ok(done);
                }
                Err(error) => {
                    if let Next::Refused(refusal) = settling.refused(error).await {
                        return Err(refusal);
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

    fn refused() -> Answer {
        let mut refused = status(403, "Forbidden");
        refused["message"] = json!("pods \"p\" is forbidden: User \"u\" cannot delete resource");
        Answer::Whole(403, refused)
    }

    /// Ends a pod `times` times. The cluster forbids the n-th request if `refuses(n)`, and its access review answers
    /// `allowed`. Returns the results, and how many requests the cluster received.
    async fn ended(
        times: usize,
        allowed: bool,
        refuses: impl Fn(usize) -> bool + Send + Sync + 'static,
    ) -> (Vec<Result<()>>, usize) {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let (_serving, address) = server(move |path| {
            if path.contains("/selfsubjectaccessreviews") {
                let status = json!({ "allowed": allowed });
                return Answer::Whole(201, json!({ "spec": {}, "status": status }));
            }
            if path.contains("/pods/p") {
                return match refuses(counted.fetch_add(1, Ordering::SeqCst)) {
                    true => refused(),
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
            ended.push(backend.0.writes.end_pod("p", "uid", 1).await);
        }
        (ended, asked.load(Ordering::SeqCst))
    }

    #[tokio::test]
    async fn previously_allowed_request_is_retried_regardless_of_the_review() {
        let (ended, asked) = ended(2, false, |nth| (1..4).contains(&nth)).await;
        assert!(ended.iter().all(Result::is_ok), "{ended:?}");
        assert_eq!(asked, 5);
    }

    #[tokio::test]
    async fn request_allowed_by_the_review_is_retried() {
        let (ended, asked) = ended(1, true, |nth| nth < 2).await;
        assert!(ended.iter().all(Result::is_ok), "{ended:?}");
        assert_eq!(asked, 3);
    }

    #[tokio::test]
    async fn request_denied_by_the_review_fails_at_once_with_its_rule() {
        let (ended, asked) = ended(1, false, |_| true).await;
        let error = ended[0].as_ref().unwrap_err();
        assert_eq!((error.kind(), asked), (ErrorKind::Config, 1));
        assert!(
            error.to_string().contains("the Role needs the rule"),
            "{error}"
        );
    }
}
