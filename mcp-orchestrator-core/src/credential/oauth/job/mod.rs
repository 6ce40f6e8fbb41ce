//! A single renewal, from acquiring the claim to storing the result.

mod ask;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tokio_util::task::TaskTracker;

use super::OAuthState;
use super::claim;
use super::claim::{Claim, ClaimOutcome, LEASE};
use super::client::forget;
use super::errors::{OAuthError, RETRY_INTERVAL};
use super::grant::{Grant, ended, with_grant};
use crate::credential::{
    Generation, InstallationKey, Precondition, RecordKey, Renewed, Revision, StoreChange,
    StoredCredential, Version,
};
use crate::error::{ErrorKind, Result};
use crate::server::{OAuthGrant, ServerSpec};

/// How many times another process's renewal is waited for.
const ROUNDS: usize = 4;
/// The part of the lease reserved for storing the result.
const WRITE_RESERVE: Duration = Duration::from_secs(20);
/// Retry delay after the issuer rejected the client.
const REFUSED: Duration = Duration::from_secs(30);

/// A renewal of one installation.
pub(super) struct Job {
    pub(super) room: Arc<OAuthState>,
    pub(super) server: ServerSpec,
    pub(super) key: InstallationKey,
    /// The revision and generation to be replaced, as seen by the caller.
    pub(super) seen: Option<(Revision, Generation)>,
    /// Whether the previous attempt got a response that is not from a token endpoint.
    pub(super) was_foreign: bool,
    /// Whether this attempt got one.
    pub(super) is_foreign: AtomicBool,
    pub(super) tasks: TaskTracker,
}

type Found = Option<(StoredCredential, Version)>;

impl Job {
    pub(super) async fn run(&self) -> Result<Renewed> {
        if let Some(newer) = self.room.unstored.newer(&self.key, self.seen.as_ref()) {
            return Ok(Renewed::Unstored(newer));
        }
        let store = &**self.room.installations.store();
        for _ in 0..ROUNDS {
            let changes = store.watch();
            let found = self.room.installations.get(&self.key).await?;
            if let Some(answer) = self.settled(&found) {
                return Ok(answer);
            }
            let seen = self.seen.as_ref();
            let seen = seen.map(|(revision, generation)| (revision, *generation));
            match Claim::ask(store, &self.key, seen).await? {
                ClaimOutcome::Theirs(left) => self.wait(changes, left).await,
                ClaimOutcome::Ours(claim) => {
                    drop(changes);
                    return self.claimed(claim).await;
                }
            }
        }
        Ok(Renewed::NotNow {
            why: "another process renews it and does not come to an end".to_owned(),
            after: RETRY_INTERVAL,
        })
    }

    /// Returns the result if nothing has to be renewed.
    fn settled(&self, found: &Found) -> Option<Renewed> {
        let Some((stored, _)) = found else {
            // The installation was removed, or does not exist yet and has to be created.
            return self.seen.is_some().then_some(Renewed::Newer);
        };
        let Some((revision, generation)) = &self.seen else {
            return Some(Renewed::Newer);
        };
        if stored.revision != *revision || stored.generation > *generation {
            return Some(Renewed::Newer);
        }
        match &stored.renewal {
            Some(renewal) if renewal.ended.is_none() => None,
            _ => Some(Renewed::Ended),
        }
    }

    /// Waits until the holder of the claim is done or its lease has expired.
    async fn wait(&self, mut changes: BoxStream<'static, Result<StoreChange>>, left: Duration) {
        let (own, claim) = (RecordKey::from(&self.key), claim::key(&self.key));
        let told = async {
            while let Some(Ok(StoreChange::Put(key) | StoreChange::Deleted(key))) =
                changes.next().await
            {
                if key == own || key == claim {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(left, told).await;
    }

    /// Renews while holding the claim. Checks once more first, since another process may just have finished.
    async fn claimed(&self, claim: Claim) -> Result<Renewed> {
        let store = &**self.room.installations.store();
        let found = self.room.installations.get(&self.key).await;
        let (answer, claim) = match found {
            Ok(found) => match self.settled(&found) {
                Some(answer) => (Ok(answer), Some(claim)),
                None => self.renew(claim, found).await,
            },
            Err(error) => (Err(error), Some(claim)),
        };
        if let Some(claim) = claim {
            claim.done(store).await;
        }
        answer
    }

    /// Renews. Returns the claim unless it is still needed.
    async fn renew(&self, claim: Claim, found: Found) -> (Result<Renewed>, Option<Claim>) {
        let limit = LEASE.saturating_sub(WRITE_RESERVE);
        let asked = tokio::time::timeout(limit, Box::pin(self.ask(&found))).await;
        let late = || OAuthError::NotNow {
            why: format!("it did not answer within {} s", limit.as_secs()),
            after: RETRY_INTERVAL,
        };
        match asked.unwrap_or_else(|_| Err(late())) {
            Ok((grant, token)) => self.write_down(claim, found, grant, token).await,
            Err(error) => {
                let failed = self.failed(&claim, found, &error).await;
                (failed, Some(claim))
            }
        }
    }

    /// Converts an error to the result that waiters get.
    async fn failed(&self, claim: &Claim, found: Found, error: &OAuthError) -> Result<Renewed> {
        let person = self.by_person();
        let (server, owner) = (&self.server.id, &self.key.owner);
        if let OAuthError::Refused(code) = error
            && person
        {
            tracing::warn!(%server, %owner, code, "a token cannot be renewed any more");
            return self.give_up(claim, found, code).await;
        }
        tracing::warn!(%server, %owner, %error, "a token cannot be renewed now");
        let is_foreign = matches!(error, OAuthError::Foreign(_));
        self.is_foreign.store(is_foreign, Ordering::Relaxed);
        let after = match error {
            OAuthError::NotNow { after, .. } => *after,
            OAuthError::Refused(_) => REFUSED,
            _ => RETRY_INTERVAL,
        };
        // A single such response may come from an upgrade or a proxy's error page. Two in a row mean that the
        // endpoint is gone; a new sign-in discovers the current one.
        let is_lost = (is_foreign && self.was_foreign)
            || matches!(
                error,
                OAuthError::IssuerChanged(_) | OAuthError::SecretWithoutIssuer
            );
        let why = error.to_string();
        Ok(if is_lost && person {
            Renewed::Stuck { why, after }
        } else {
            Renewed::NotNow { why, after }
        })
    }

    fn by_person(&self) -> bool {
        let oauth = self.server.oauth.as_ref();
        oauth.is_some_and(|oauth| oauth.grant == OAuthGrant::AuthorizationCode)
    }

    /// Stores that only a new sign-in by the owner can help.
    async fn give_up(&self, claim: &Claim, found: Found, code: &str) -> Result<Renewed> {
        let Some((stored, version)) = found else {
            return Ok(Renewed::Ended);
        };
        let why = if claim.was_broken_off(&stored.revision, stored.generation) {
            format!(
                "a process that renewed it ended between the issuer's answer and its writing down, and the issuer takes \
                 the token from before no more ({code})"
            )
        } else if code == "no_refresh_token" {
            "the issuer returned no refresh token".to_owned()
        } else {
            format!("the issuer does not renew it any more ({code})")
        };
        let mut next = ended(&stored, why);
        if let Some(mut grant) = Grant::of(&stored)? {
            if code == "invalid_client"
                && let Some(redirect_uri) = &grant.redirect_uri
            {
                forget(
                    &**self.room.installations.store(),
                    &grant.issuer,
                    redirect_uri,
                )
                .await?;
            }
            // The refresh token is useless now.
            grant.refresh_token = None;
            next = with_grant(next, &grant)?;
        }
        let put = self
            .room
            .installations
            .put(&self.key, &next, Precondition::Unchanged(version));
        match put.await {
            Ok(_) => Ok(Renewed::Ended),
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(Renewed::Newer),
            Err(error) => Err(error),
        }
    }
}
