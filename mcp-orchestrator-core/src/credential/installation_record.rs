//! An installed credential, and its form in a store.

use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{Generation, InstallationKey, Record, Revision};
use crate::error::{Error, ErrorKind, Result};
use crate::id::SlotName;
use crate::secret_json::{Broken, SecretText, from_secret, to_secret};

/// The version of the record format. Readers ignore unknown members, so a new format is needed only for members that
/// an older program must not ignore.
const FORM: u32 = 1;

/// A stored credential with the settings of its installation.
#[derive(Clone)]
pub struct StoredCredential {
    /// Identifies what was installed.
    pub revision: Revision,
    /// Counts the tokens obtained with this revision; grows with each renewal.
    pub generation: Generation,
    /// The secret values.
    pub values: BTreeMap<SlotName, SecretString>,
    /// Non-secret settings of this installation.
    pub settings: BTreeMap<String, String>,
    /// When the values expire. `None`: never, or unknown.
    pub expires_at: Option<SystemTime>,
    /// How the values are renewed. `None`: they have to be installed again.
    pub renewal: Option<Renewable>,
}

impl fmt::Debug for StoredCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredCredential")
            .field("revision", &self.revision)
            .field("generation", &self.generation)
            .field("slots", &self.values.keys().collect::<Vec<_>>())
            .field("settings", &self.settings)
            .field("expires_at", &self.expires_at)
            .field("renewal", &self.renewal)
            .finish()
    }
}

/// Data for the renewal of a stored credential. Stored next to its values; never passed to an instance.
#[derive(Clone)]
pub struct Renewable {
    /// Time from which a renewal makes sense; `None`: only after a rejection.
    pub due: Option<SystemTime>,
    /// Why it can no longer be renewed, without secrets. Its owner has to sign in again.
    pub ended: Option<String>,
    /// Data of the [`Renewal`](super::Renewal) implementation, such as a refresh token.
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

/// JSON form of [`Renewable`].
#[derive(Serialize, Deserialize)]
struct RenewableMembers {
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

/// The stored JSON.
#[derive(Serialize, Deserialize)]
struct Members {
    form: u32,
    revision: String,
    #[serde(default)]
    generation: u64,
    values: BTreeMap<SlotName, SecretText>,
    #[serde(default)]
    settings: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<SystemTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    renewal: Option<RenewableMembers>,
}

/// The member with the format, which is read before the other members.
#[derive(Deserialize)]
struct Form {
    form: u32,
}

/// Why a record cannot be read or written as a stored credential.
#[derive(Debug, thiserror::Error)]
enum StoredError {
    #[error(
        "the stored credential of {owner} for server {server} has form {form}; this program reads {FORM}: a newer one wrote it"
    )]
    Newer {
        owner: String,
        server: String,
        form: u32,
    },
    #[error(
        "the stored credential of {owner} for server {server} is broken at {place}: install it again"
    )]
    Broken {
        owner: String,
        server: String,
        place: Broken,
    },
    #[error("the credential of {owner} for server {server} cannot be written: {reason}")]
    Unwritable {
        owner: String,
        server: String,
        reason: String,
    },
}

impl From<StoredError> for Error {
    fn from(error: StoredError) -> Self {
        Self::new(ErrorKind::Internal, error.to_string())
    }
}

impl StoredCredential {
    /// Encodes the credential as a record.
    pub(super) fn to_record(&self, key: &InstallationKey) -> Result<Record> {
        let values = self.values.iter();
        let members = Members {
            form: FORM,
            revision: self.revision.as_str().to_owned(),
            generation: self.generation.0,
            values: values
                .map(|(slot, value)| (slot.clone(), SecretText(value.clone())))
                .collect(),
            settings: self.settings.clone(),
            expires_at: self.expires_at,
            renewal: self.renewal.as_ref().map(Into::into),
        };
        let value = to_secret(&members).map_err(|error| StoredError::Unwritable {
            owner: key.owner.to_string(),
            server: key.server.to_string(),
            reason: error.to_string(),
        });
        Ok(Record::new(value?))
    }

    /// Decodes the credential from a record.
    pub(super) fn from_record(key: &InstallationKey, record: &Record) -> Result<Self> {
        let json = &record.value;
        let broken = |place| StoredError::Broken {
            owner: key.owner.to_string(),
            server: key.server.to_string(),
            place,
        };
        let Form { form } = from_secret(json).map_err(broken)?;
        if form != FORM {
            let (owner, server) = (key.owner.to_string(), key.server.to_string());
            let newer = StoredError::Newer {
                owner,
                server,
                form,
            };
            return Err(newer.into());
        }
        let members: Members = from_secret(json).map_err(broken)?;
        let values = members.values.into_iter();
        Ok(Self {
            revision: Revision::new(members.revision),
            generation: Generation(members.generation),
            values: values.map(|(slot, value)| (slot, value.0)).collect(),
            settings: members.settings,
            expires_at: members.expires_at,
            renewal: members.renewal.map(Into::into),
        })
    }
}
