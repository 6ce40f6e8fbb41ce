//! A time-limited claim to renew one installation. Of all processes that share a store, only one holds it.
//!
//! The record outlives the claim's lease, so that the next holder can see that the previous one ended before it was
//! done. A token that the issuer returned to that process is lost, and possibly the refresh token with it.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::credential::{
    CredentialStore, Generation, InstallationKey, Precondition, Record, RecordKey, RecordKind,
    Revision, Version,
};
use crate::error::{Error, ErrorKind, Result};
use crate::id::RecordName;
use crate::seal::hex;
use crate::secret_json::{from_secret, to_secret};

/// How long a claim is held at most.
pub(super) const LEASE: Duration = Duration::from_mins(1);
/// How long an unfinished claim is remembered.
const UNFINISHED_CLAIM_TTL: Duration = Duration::from_hours(24);
/// How soon to look again if it is unknown for how long another process holds the claim.
const CLAIM_POLL_INTERVAL: Duration = Duration::from_secs(2);

#[derive(Serialize, Deserialize)]
struct Held {
    until: SystemTime,
    revision: String,
    generation: u64,
}

/// A claim held by this process.
pub(super) struct Claim {
    key: RecordKey,
    version: Version,
    /// The revision and generation that an earlier holder did not finish renewing.
    unfinished: Option<(String, u64)>,
}

/// Result of asking for a claim.
pub(super) enum ClaimOutcome {
    Ours(Claim),
    /// Another process holds it, for at most this long.
    Theirs(Duration),
}

impl Claim {
    /// Tries to acquire the claim to renew this installation.
    pub(super) async fn ask(
        store: &dyn CredentialStore,
        installation: &InstallationKey,
        of: Option<(&Revision, Generation)>,
    ) -> Result<ClaimOutcome> {
        let key = key(installation);
        let now = SystemTime::now();
        let found = store.get(&key).await?;
        let (unfinished, precondition) = match found {
            None => (None, Precondition::Absent),
            Some((record, version)) => {
                let held = from_secret::<Held>(&record.value).ok();
                let left = held
                    .as_ref()
                    .and_then(|held| held.until.duration_since(now).ok());
                if let Some(left) = left.filter(|left| !left.is_zero()) {
                    // A wrong clock must not block others for longer than a lease.
                    return Ok(ClaimOutcome::Theirs(left.min(LEASE)));
                }
                let unfinished = held.map(|held| (held.revision, held.generation));
                (unfinished, Precondition::Unchanged(version))
            }
        };
        let (revision, generation) = of.map_or((String::new(), 0), |(revision, generation)| {
            (revision.as_str().to_owned(), generation.0)
        });
        let held = Held {
            until: now + LEASE,
            revision,
            generation,
        };
        let value = to_secret(&held);
        let value =
            value.map_err(|_| Error::new(ErrorKind::Internal, "a claim cannot be written"))?;
        let record = Record::new(value).expiring(now + UNFINISHED_CLAIM_TTL);
        match store.put(&key, record, precondition).await {
            Ok(version) => Ok(ClaimOutcome::Ours(Self {
                key,
                version,
                unfinished,
            })),
            Err(error) if error.kind() == ErrorKind::Conflict => {
                Ok(ClaimOutcome::Theirs(CLAIM_POLL_INTERVAL))
            }
            Err(error) => Err(error),
        }
    }

    /// Returns `true` if an earlier holder began to renew exactly this generation and did not finish.
    pub(super) fn was_broken_off(&self, revision: &Revision, generation: Generation) -> bool {
        let unfinished = self.unfinished.as_ref();
        unfinished
            .is_some_and(|(known, number)| known == revision.as_str() && *number == generation.0)
    }

    /// Releases the claim. If that fails, its lease expires by itself.
    pub(super) async fn done(self, store: &dyn CredentialStore) {
        let given = store
            .delete(&self.key, Precondition::Unchanged(self.version))
            .await;
        if let Err(error) = given {
            tracing::debug!(%error, "a claim to renew was not given back");
        }
    }
}

/// Returns the key of an installation's claim.
pub(super) fn key(installation: &InstallationKey) -> RecordKey {
    let mut hash = Sha256::new();
    hash.update("renew\0");
    hash.update(RecordKey::from(installation).name.as_str());
    let name = RecordName::new(hex(&hash.finalize())).expect("hex is a record's name");
    RecordKey::new(RecordKind::Claim, name)
}
