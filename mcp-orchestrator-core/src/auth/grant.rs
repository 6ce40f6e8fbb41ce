//! What admitted a request, to be asked again later.

use std::fmt;

use async_trait::async_trait;

/// Whether a request that was admitted once would be admitted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It would be.
    Holds,
    /// Its token has expired: its client may come back with a newer one.
    Expired,
    /// It would not be: its token was revoked, or its issuer is not trusted any more.
    Lost,
    /// It cannot be determined now. Nothing is taken away for that.
    Unknown,
}

/// What admitted the last request of a legacy session.
///
/// A session lasts longer than any request, and a call that waits for a credential or an instance acts long after it was
/// admitted. Whoever admits requests hands this to [`Orchestrator::bind`](crate::Orchestrator::bind), and reports by
/// [`AccessRevision`](super::AccessRevision) when an answer may have changed.
///
/// # Contract
/// [`Lost`](Standing::Lost) ends the session. An implementation holds no [`Orchestrator`](crate::Orchestrator): sessions own
/// their grants. Dropping the future changes nothing.
#[async_trait]
pub trait Grant: fmt::Debug + Send + Sync + 'static {
    /// Whether the request would be admitted now.
    async fn standing(&self) -> Standing;
}
