//! The authorization of a message right before it is written, after all waits.

use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::AllowedBy;
use crate::error::Result;
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::context::Context;
use crate::runtime::InstanceKey;
use crate::transport::Recheck;

/// A message that was authorized, and waits inside its connection.
pub(crate) struct SendCheck<'a> {
    inner: &'a Inner,
    context: &'a Context,
    key: &'a InstanceKey,
    judged: AllowedBy<'a>,
    /// Count of [`Rights`](crate::orchestrator::state::rights::Rights) at which it was authorized last.
    as_of: AtomicU64,
}

impl<'a> SendCheck<'a> {
    /// A message of this caller to an instance, authorized at this count.
    pub(crate) fn new(
        inner: &'a Inner,
        context: &'a Context,
        key: &'a InstanceKey,
        judged: AllowedBy<'a>,
        as_of: u64,
    ) -> Self {
        Self {
            inner,
            context,
            key,
            judged,
            as_of: AtomicU64::new(as_of),
        }
    }
}

impl Recheck for SendCheck<'_> {
    fn is_stale(&self) -> bool {
        self.inner.rights.now() != self.as_of.load(Ordering::Relaxed)
    }

    fn judge(&self) -> BoxFuture<'_, Result<()>> {
        async {
            let at = self.inner.rights.now();
            self.inner
                .judge_again(self.context, self.key, self.judged)
                .await?;
            self.as_of.store(at, Ordering::Relaxed);
            Ok(())
        }
        .boxed()
    }
}
