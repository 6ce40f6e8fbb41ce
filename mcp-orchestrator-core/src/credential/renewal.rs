//! Credentials that are renewed without their owner: what is kept for it, and the seam of who does it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::json::SecretText;
use super::{Generation, InstallationKey, Revision, StoredCredential};
use crate::error::Result;
use crate::server::ServerSpec;

/// What renews a stored credential. It stands beside its values and reaches no instance.
#[derive(Clone)]
pub struct Renewable {
    /// From then on it is worth renewing; `None`: only once it was refused.
    pub due: Option<SystemTime>,
    /// Why it cannot be renewed any more, in words without a secret: its owner has to sign in again.
    pub ended: Option<String>,
    /// What whoever renews it keeps.
    pub grant: SecretString,
}

impl fmt::Debug for Renewable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewable")
            .field("due", &self.due)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

/// Its members in JSON.
#[derive(Serialize, Deserialize)]
pub(super) struct RenewableMembers {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due: Option<SystemTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended: Option<String>,
    grant: SecretText,
}

impl From<&Renewable> for RenewableMembers {
    fn from(renewable: &Renewable) -> Self {
        Self {
            due: renewable.due,
            ended: renewable.ended.clone(),
            grant: SecretText(renewable.grant.clone()),
        }
    }
}

impl From<RenewableMembers> for Renewable {
    fn from(members: RenewableMembers) -> Self {
        Self {
            due: members.due,
            ended: members.ended,
            grant: members.grant.0,
        }
    }
}

/// What came of a renewal.
#[derive(Clone, Debug)]
pub enum Renewed {
    /// The store holds another one than before, or none any more.
    Newer,
    /// There is a newer one that the store does not take now: it is used from memory, and written once the store takes it.
    Unstored(Arc<StoredCredential>),
    /// It cannot be told now: the issuer does not answer. The one that is there may be used while it lives.
    NotNow {
        /// What failed.
        why: String,
        /// When it is worth another try.
        after: Duration,
    },
    /// Nobody answers any more where its issuer was, so a sign-in may be the only way on. It is tried again all the same.
    Stuck {
        /// What failed.
        why: String,
        /// When it is worth another try.
        after: Duration,
    },
    /// It cannot be renewed: its owner has to sign in again. The store says so too.
    Ended,
}

/// Renews stored credentials, and obtains those that need no person.
///
/// # Contract
/// Of several who ask at once, in this process and in others that share the store, one renews and the others wait for
/// it. What is obtained is stored before `Newer` is answered, and kept for a store that is away before `Unstored` is; its revision is the one that it had, its generation a
/// newer one. Dropping the future ends the waiting alone: a renewal that began goes on to its end.
#[async_trait]
pub trait Renewal: fmt::Debug + Send + Sync + 'static {
    /// Sees that the store holds something newer than this generation of an installation; `None`: that it holds any.
    ///
    /// # Errors
    /// Where the store fails, or the configuration does not fit.
    async fn renew(
        &self,
        server: &ServerSpec,
        key: &InstallationKey,
        seen: Option<(&Revision, Generation)>,
    ) -> Result<Renewed>;

    /// The server took the credential and wants more of it: these scopes. It is remembered for the next sign-in. Answers
    /// whether a sign-in can help: not where it was asked for all of them already.
    ///
    /// # Errors
    /// Where the store fails.
    async fn wanted(&self, key: &InstallationKey, scopes: &[String]) -> Result<bool>;

    /// Finds out whether a server that has refused a call without a credential says who gives tokens for it.
    async fn protection(&self, server: &ServerSpec) -> Protection {
        let _ = server;
        Protection::Unknown
    }
}

/// What a server that has refused a call without a credential says of who gives tokens for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Nothing.
    Unknown,
    /// An issuer at which somebody can sign in.
    SignIn,
    /// It speaks of OAuth, and nobody can sign in; why.
    Obstacle(String),
}
