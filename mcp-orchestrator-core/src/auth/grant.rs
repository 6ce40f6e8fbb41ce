//! Re-evaluates the admission of an earlier request.

use std::fmt;

use async_trait::async_trait;

/// Result of a re-evaluation: would a request that was admitted earlier be admitted now?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It would be admitted.
    Holds,
    /// Its token has expired. The client may return with a newer one.
    Expired,
    /// It would be rejected: its token was revoked, or its issuer is no longer trusted.
    Lost,
    /// Cannot be determined now. Nothing is revoked in that case.
    Unknown,
}

/// The admission of the last request of a legacy session.
///
/// A session outlives its requests, and a call that waits for a credential or an instance acts long after it was
/// admitted. The component that admits requests passes a grant to [`Orchestrator::bind`](crate::Orchestrator::bind) and
/// advances the [`AccessRevision`](super::AccessRevision) when the result may have changed.
///
/// # Contract
/// [`Lost`](Standing::Lost) ends the session. An implementation must not hold an
/// [`Orchestrator`](crate::Orchestrator), because sessions own their grants. Dropping the future has no effect. An implementation
/// runs [`crate::testing::auth::grant`].
#[async_trait]
pub trait Grant: fmt::Debug + Send + Sync + 'static {
    /// Returns whether the request would be admitted now.
    async fn standing(&self) -> Standing;
}
