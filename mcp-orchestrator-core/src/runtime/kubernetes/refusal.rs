//! A refusal for want of a right, looked at twice.
//!
//! An API server that has just come back answers before it has read its Roles, and refuses for some moments what they
//! allow. So what it refuses is asked again for a while, where it was allowed before or a review of our own rights says
//! that it is allowed; and the error names the rule that is missing only where the review says no as well.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::access::Access;
use super::errors::Action;
use super::review::may;

/// How long a right that was there, or should be, is waited for.
const SETTLES: Duration = Duration::from_secs(10);
/// Between two questions: at first, and at the most.
const WAIT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// What the cluster did not do.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(super) error: kube::Error,
    /// The cluster's own review of our rights says that it is allowed.
    pub(super) allowed: bool,
}

/// Verb, API group and resource.
pub(super) type Right = (&'static str, &'static str, &'static str);

/// What was allowed to this process before.
#[derive(Debug, Default)]
pub(super) struct Allowed(Mutex<HashSet<Right>>);

/// One question to the cluster, for as long as it is asked again.
pub(super) struct Settling<'a> {
    access: &'a Access,
    action: Action<'a>,
    until: Instant,
    wait: Duration,
}

/// What becomes of a question that was refused.
pub(super) enum Next {
    /// It is asked again, now.
    Ask,
    /// It was refused for good.
    Refused(Refusal),
}

impl From<kube::Error> for Refusal {
    fn from(error: kube::Error) -> Self {
        let allowed = false;
        Self { error, allowed }
    }
}

impl Refusal {
    /// Whether the object is not there.
    pub(super) fn is_absent(&self) -> bool {
        super::errors::is_absent(&self.error)
    }

    /// Whether somebody else was there first.
    pub(super) fn is_conflict(&self) -> bool {
        super::errors::is_conflict(&self.error)
    }
}

impl Allowed {
    fn note(&self, right: Right) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(right);
    }

    fn has(&self, right: Right) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains(&right)
    }
}

impl<'a> Settling<'a> {
    pub(super) fn new(access: &'a Access, action: Action<'a>) -> Self {
        Self {
            access,
            action,
            until: Instant::now() + SETTLES,
            wait: WAIT.0,
        }
    }

    /// It was done.
    pub(super) fn done(&self) {
        self.access.allowed().note(self.action.right());
    }

    /// It was not done. Waits before it is asked again.
    pub(super) async fn refused(&mut self, error: kube::Error) -> Next {
        if !is_for_want_of_a_right(&error) {
            return Next::Refused(error.into());
        }
        // A review that is refused itself says nothing.
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
    /// Asks the cluster, and again where a refusal may pass.
    pub(super) async fn ask<T, F>(
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

/// Whether it was refused by the rights of who asks, and not by an admission or a quota.
pub(super) fn is_for_want_of_a_right(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else {
        return false;
    };
    // `pods "a" is forbidden: User "b" cannot get resource "pods" …`, whoever decides.
    status.code == 403 && status.reason == "Forbidden" && status.message.contains("\" cannot ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::{Value, json};

    use super::super::survival::{Answer, backend, list, server, status};
    use crate::error::{ErrorKind, Result};

    fn refused() -> Answer {
        let mut refused = status(403, "Forbidden");
        refused["message"] = json!("pods \"p\" is forbidden: User \"u\" cannot delete resource");
        Answer::Whole(403, refused)
    }

    /// Ends a pod so often, where the cluster refuses what `refuses` says of the number of times that it was asked, and its
    /// review says `allowed`; answers how it went, and how often the cluster was asked.
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
    async fn what_was_allowed_before_is_asked_again_whatever_the_review_says() {
        let (ended, asked) = ended(2, false, |nth| (1..4).contains(&nth)).await;
        assert!(ended.iter().all(Result::is_ok), "{ended:?}");
        assert_eq!(asked, 5);
    }

    #[tokio::test]
    async fn what_the_review_allows_is_asked_again() {
        let (ended, asked) = ended(1, true, |nth| nth < 2).await;
        assert!(ended.iter().all(Result::is_ok), "{ended:?}");
        assert_eq!(asked, 3);
    }

    #[tokio::test]
    async fn what_the_review_refuses_too_is_told_at_once_by_its_rule() {
        let (ended, asked) = ended(1, false, |_| true).await;
        let error = ended[0].as_ref().unwrap_err();
        assert_eq!((error.kind(), asked), (ErrorKind::Config, 1));
        assert!(
            error.to_string().contains("the Role needs the rule"),
            "{error}"
        );
    }
}
