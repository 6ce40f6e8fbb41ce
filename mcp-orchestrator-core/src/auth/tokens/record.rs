//! What is known of a token, and its form in a store.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::auth::Principal;
use crate::credential::{Owner, Record, RecordKey, RecordKind};
use crate::id::{GatewayId, RecordName};
use crate::seal::hex;

/// A token that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// For whom it speaks.
    pub subject: Owner,
    /// Whether it may administer.
    pub admin: bool,
    /// The only gateway that it may use; `None`: all that are its subject's.
    pub gateway: Option<GatewayId>,
    /// When it ends; `None`: when it is taken back.
    pub expires_at: Option<SystemTime>,
}

/// What is known of a token. Nothing of it is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenInfo {
    /// By which it is listed and taken back: 12 hex digits of its hash.
    pub id: String,
    /// For whom it speaks.
    #[serde(with = "text")]
    pub subject: Owner,
    /// Whether it may administer.
    #[serde(default)]
    pub admin: bool,
    /// The only gateway that it may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewayId>,
    /// When it was made.
    pub created_at: SystemTime,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<SystemTime>,
    /// When it was used last, to the hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<SystemTime>,
}

/// The principal for whom a token speaks.
pub(super) fn principal(subject: &Owner) -> Principal {
    match subject {
        Owner::User(id) => Principal::user(id.clone(), "token"),
        Owner::Team(id) => Principal::team(id, "token"),
        Owner::Organization => Principal::organization("token"),
    }
}

/// An owner as its text.
mod text {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::credential::Owner;

    pub(super) fn serialize<S: Serializer>(
        owner: &Owner,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(owner)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Owner, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl TokenInfo {
    pub(super) fn new(hash: &[u8; 32], new: NewToken) -> Self {
        Self {
            id: hex(&hash[..6]),
            subject: new.subject,
            admin: new.admin,
            gateway: new.gateway,
            created_at: SystemTime::now(),
            expires_at: new.expires_at,
            last_used: None,
        }
    }

    /// Whether it has ended by now.
    pub fn is_over(&self, now: SystemTime) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    pub(super) fn to_record(&self) -> Record {
        let text = serde_json::to_string(self).expect("texts, times and a flag are JSON");
        let record = Record::new(text);
        match self.expires_at {
            Some(at) => record.expiring(at),
            None => record,
        }
    }
}

/// Under what a token is stored: its hash. It is random, so that a plain hash tells nothing of it.
pub(super) fn key(hash: &[u8; 32]) -> RecordKey {
    let name = RecordName::new(hex(hash)).expect("hex digits are a name");
    RecordKey::new(RecordKind::Token, name)
}
