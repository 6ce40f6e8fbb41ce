//! Renewal of credentials without their owner: the seam.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{Generation, InstallationKey, Revision, StoredCredential};
use crate::error::Result;
use crate::server::ServerSpec;

/// Result of a renewal.
#[derive(Clone, Debug)]
pub enum Renewed {
    /// The store holds another credential than before, or none any more.
    Newer,
    /// Renewed, but the store is not accepting writes. The credential is used from memory and written when the store is
    /// available again.
    Unstored(Arc<StoredCredential>),
    /// Not possible now: the issuer does not answer. The existing credential may be used until it expires.
    NotNow {
        /// Description of the failure.
        why: String,
        /// Delay before the next attempt.
        after: Duration,
    },
    /// The issuer is no longer reachable at its known address, so a new sign-in may be required. Attempts continue.
    Stuck {
        /// Description of the failure.
        why: String,
        /// Delay before the next attempt.
        after: Duration,
    },
    /// Cannot be renewed: the owner has to sign in again. The store records this as well.
    Ended,
}

/// Renews stored credentials, and obtains tokens that need no user.
///
/// # Contract
/// Of concurrent calls, in this process and in others that share the store, one renews and the others wait for it. The
/// result is stored before `Newer` is returned; if the store is unavailable, it is kept for a later write before
/// `Unstored` is returned. It has the same revision and a newer generation. Dropping the future only stops waiting: a
/// renewal in progress completes. An implementation runs [`crate::testing::credential::renewal`].
#[async_trait]
pub trait Renewal: fmt::Debug + Send + Sync + 'static {
    /// Ensures that the store holds something newer than this generation of an installation; `None`: that it holds any.
    ///
    /// # Errors
    /// If the store fails, or the configuration does not match.
    async fn renew(
        &self,
        server: &ServerSpec,
        key: &InstallationKey,
        seen: Option<(&Revision, Generation)>,
    ) -> Result<Renewed>;

    /// Records that the server accepted the credential but requires these additional scopes, for the next sign-in.
    /// Returns `false` if a sign-in cannot help because all of them were requested before.
    ///
    /// # Errors
    /// If the store fails.
    async fn wanted(&self, key: &InstallationKey, scopes: &[String]) -> Result<bool>;

    /// Determines whether a server that refused a call without a credential names an issuer of tokens for it.
    async fn protection(&self, server: &ServerSpec) -> Protection {
        let _ = server;
        Protection::Unknown
    }
}

/// What a server that refused a call without a credential says about OAuth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protection {
    /// No information.
    Unknown,
    /// An issuer at which users can sign in.
    SignIn,
    /// The server refers to OAuth, but sign-in is not possible; the reason.
    Obstacle(String),
}
