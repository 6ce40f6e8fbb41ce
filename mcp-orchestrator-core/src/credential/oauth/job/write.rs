//! Stores the result of a renewal. It may hold the only refresh token that the issuer still accepts, so it is never
//! discarded while it is useful: if the store is unavailable, the token is used from memory and written when the
//! store is back.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use super::{Found, Job};
use crate::backoff::Backoff;
use crate::credential::oauth::OAuthState;
use crate::credential::oauth::claim::Claim;
use crate::credential::oauth::errors::OAuthError;
use crate::credential::oauth::grant::{Grant, installed, renewed, union};
use crate::credential::{
    Generation, InstallationKey, Precondition, Renewed, Revision, StoredCredential,
};
use crate::error::{Error, ErrorKind, Result};
use crate::id::SlotName;
use crate::oauth::Token;
use crate::server::OAuthGrant;

/// Number of immediate attempts if other processes write the same record.
const TRIES: usize = 5;
/// Initial and maximum delay between attempts to write to a store that failed.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// A renewal result to be written.
struct Writing {
    room: Arc<OAuthState>,
    key: InstallationKey,
    slot: SlotName,
    kind: OAuthGrant,
    grant: Grant,
    token: Token,
    /// When the token was obtained.
    at: SystemTime,
    /// The revision and generation that it succeeds. `None`: it is the first credential.
    base: Option<(Revision, Generation)>,
    /// The first credential as it will be stored.
    first: OnceLock<StoredCredential>,
}

/// Result of one attempt.
enum WriteOutcome {
    Written(StoredCredential),
    /// The store holds something newer.
    Superseded,
    /// Another process wrote at the same time.
    Raced,
    /// The store is unavailable.
    Failed(Error),
}

impl Job {
    /// Stores the renewed token. Returns the claim unless it is still needed.
    pub(super) async fn write_down(
        &self,
        claim: Claim,
        mut found: Found,
        grant: Grant,
        token: Token,
    ) -> (Result<Renewed>, Option<Claim>) {
        let Some(oauth) = &self.server.oauth else {
            return (Err(OAuthError::NoOAuth.into()), Some(claim));
        };
        let base = found.as_ref();
        let writing = Writing {
            room: Arc::clone(&self.room),
            key: self.key.clone(),
            slot: oauth.slot.clone(),
            kind: oauth.grant,
            base: base.map(|(stored, _)| (stored.revision.clone(), stored.generation)),
            grant,
            token,
            at: SystemTime::now(),
            first: OnceLock::new(),
        };
        let mut failed = None;
        for _ in 0..TRIES {
            match writing.once(&found).await {
                WriteOutcome::Written(next) => return (Ok(self.told(&next)), Some(claim)),
                WriteOutcome::Superseded => return (Ok(Renewed::Newer), Some(claim)),
                WriteOutcome::Raced => match self.room.installations.get(&self.key).await {
                    Ok(now) => found = now,
                    Err(error) => failed = Some(error),
                },
                WriteOutcome::Failed(error) => failed = Some(error),
            }
            if failed.is_some() {
                break;
            }
        }
        self.keep(writing, claim, &found, failed)
    }

    /// Uses the token from memory, and writes it when the store is back.
    fn keep(
        &self,
        writing: Writing,
        claim: Claim,
        found: &Found,
        failed: Option<Error>,
    ) -> (Result<Renewed>, Option<Claim>) {
        let many = || Error::new(ErrorKind::Conflict, "many write it at once");
        let error = failed.unwrap_or_else(many);
        let next = match writing.next(found) {
            Ok((next, _)) => Arc::new(next),
            Err(error) => return (Err(error), Some(claim)),
        };
        if !self.room.unstored.keep(&self.key, &next) {
            let text = "the issuer gave a new token, the store does not take it, and too many are kept in memory already: \
                        whoever installed it may have to sign in again";
            let error = Error::new(ErrorKind::Internal, text).with_source(error);
            return (Err(error), Some(claim));
        }
        tracing::warn!(
            server = %self.server.id,
            owner = %self.key.owner,
            %error,
            "a renewed token cannot be stored yet: it is used from memory and written once the store takes it"
        );
        self.tasks.spawn(writing.when_back(claim));
        (Ok(Renewed::Unstored(next)), None)
    }

    fn told(&self, next: &StoredCredential) -> Renewed {
        let end = next.expires_at;
        let life = end.and_then(|end| end.duration_since(SystemTime::now()).ok());
        tracing::info!(
            server = %self.server.id,
            owner = %self.key.owner,
            generation = next.generation.0,
            life = life.map(|life| life.as_secs()),
            "token renewed"
        );
        Renewed::Newer
    }
}

impl Writing {
    /// Returns the credential to store in place of `found`, and the precondition of that write.
    fn next(&self, found: &Found) -> Result<(StoredCredential, Precondition)> {
        let grant = self.grant.clone();
        let Some((stored, version)) = found else {
            if let Some(first) = self.first.get() {
                return Ok((first.clone(), Precondition::Absent));
            }
            // The revision is created only once, so that the credential used from memory equals the one stored later.
            let new = installed(&self.slot, grant, (&self.token, self.at), self.kind)?;
            let new = self.first.get_or_init(|| new).clone();
            return Ok((new, Precondition::Absent));
        };
        // Keeps scopes that the server asked for in the meantime.
        let noted = Grant::of(stored)?.map(|grant| grant.wanted);
        let grant = Grant {
            wanted: union([&grant.wanted[..], &noted.unwrap_or_default()[..]]),
            ..grant
        };
        let next = renewed(stored, &self.slot, grant, (&self.token, self.at))?;
        Ok((next, Precondition::Unchanged(version.clone())))
    }

    async fn once(&self, found: &Found) -> WriteOutcome {
        let now = found.as_ref();
        let now = now.map(|(stored, _)| (stored.revision.clone(), stored.generation));
        let other = match (&self.base, &now) {
            // It was removed, reinstalled, or renewed by another process while the issuer was asked.
            (Some(base), Some(now)) => base.0 != now.0 || now.1 > base.1,
            (Some(_), None) | (None, Some(_)) => true,
            (None, None) => false,
        };
        if other {
            return WriteOutcome::Superseded;
        }
        let (next, precondition) = match self.next(found) {
            Ok(next) => next,
            Err(error) => return WriteOutcome::Failed(error),
        };
        let put = self.room.installations.put(&self.key, &next, precondition);
        match put.await {
            Ok(_) => WriteOutcome::Written(next),
            Err(error) if error.kind() == ErrorKind::Conflict => WriteOutcome::Raced,
            Err(error) => WriteOutcome::Failed(error),
        }
    }

    /// Retries until the store accepts the credential or holds something newer. It continues beyond the lease:
    /// another process that renewed it has stored a newer generation, and otherwise no process has a better one.
    async fn when_back(self, claim: Claim) {
        let closing = self.room.unstored.closing().clone();
        let mut backoff = Backoff::new(FIRST_PAUSE, MAX_PAUSE);
        let server = &self.key.server;
        loop {
            tokio::select! {
                () = tokio::time::sleep(backoff.next_delay()) => {}
                () = closing.cancelled() => {
                    tracing::error!(%server, owner = %self.key.owner, "a renewed token was not stored before the end: its owner may have to sign in again");
                    return;
                }
            }
            let Ok(found) = self.room.installations.get(&self.key).await else {
                continue;
            };
            match self.once(&found).await {
                WriteOutcome::Written(_) => {
                    tracing::info!(%server, owner = %self.key.owner, "a renewed token is stored now");
                    break;
                }
                WriteOutcome::Superseded => break,
                WriteOutcome::Raced => {}
                WriteOutcome::Failed(error) => {
                    tracing::debug!(%server, %error, "a renewed token cannot be stored yet");
                }
            }
        }
        self.room.unstored.forget(&self.key);
        claim.done(&**self.room.installations.store()).await;
    }
}
