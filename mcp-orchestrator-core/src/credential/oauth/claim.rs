//! The right to renew one installation, for a while: of all processes on one store, one has it.
//!
//! A claim outlives its lease in the store, so that whoever comes next knows that a holder ended before it was done: what
//! that one got from the issuer is lost then, and with it perhaps the refresh token.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::credential::json::{from_secret, to_secret};
use crate::credential::{
    CredentialStore, Generation, InstallationKey, Precondition, Record, RecordKey, RecordKind,
    Revision, Version,
};
use crate::error::{Error, ErrorKind, Result};
use crate::id::RecordName;
use crate::seal::hex;

/// How long a holder has.
pub(super) const LEASE: Duration = Duration::from_mins(1);
/// How long it is known that a holder ended before it was done.
const REMEMBERED: Duration = Duration::from_hours(24);
/// How soon to look again where it is not told until when somebody holds it.
const SOON: Duration = Duration::from_secs(2);

#[derive(Serialize, Deserialize)]
struct Held {
    until: SystemTime,
    revision: String,
    generation: u64,
}

/// A claim that is ours.
pub(super) struct Claim {
    key: RecordKey,
    version: Version,
    /// Of what somebody had it who did not finish.
    unfinished: Option<(String, u64)>,
}

/// What came of asking for it.
pub(super) enum Asked {
    Ours(Claim),
    /// Somebody else has it, until then at most.
    Theirs(Duration),
}

impl Claim {
    /// Asks for the right to renew this.
    pub(super) async fn ask(
        store: &dyn CredentialStore,
        installation: &InstallationKey,
        of: Option<(&Revision, Generation)>,
    ) -> Result<Asked> {
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
                    // A clock that is wrong keeps nobody out for long.
                    return Ok(Asked::Theirs(left.min(LEASE)));
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
        let record = Record::new(value).expiring(now + REMEMBERED);
        match store.put(&key, record, precondition).await {
            Ok(version) => Ok(Asked::Ours(Self {
                key,
                version,
                unfinished,
            })),
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(Asked::Theirs(SOON)),
            Err(error) => Err(error),
        }
    }

    /// Whether somebody began to renew this very generation and did not finish.
    pub(super) fn was_broken_off(&self, revision: &Revision, generation: Generation) -> bool {
        let unfinished = self.unfinished.as_ref();
        unfinished
            .is_some_and(|(known, number)| known == revision.as_str() && *number == generation.0)
    }

    /// Gives it back. Where that fails its lease ends by itself.
    pub(super) async fn done(self, store: &dyn CredentialStore) {
        let given = store
            .delete(&self.key, Precondition::Unchanged(self.version))
            .await;
        if let Err(error) = given {
            tracing::debug!(%error, "a claim to renew was not given back");
        }
    }
}

/// Under what the claim for an installation stands.
pub(super) fn key(installation: &InstallationKey) -> RecordKey {
    let mut hash = Sha256::new();
    hash.update("renew\0");
    hash.update(RecordKey::from(installation).name.as_str());
    let name = RecordName::new(hex(&hash.finalize())).expect("hex is a record's name");
    RecordKey::new(RecordKind::Claim, name)
}
