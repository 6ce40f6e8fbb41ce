//! Token descriptions and their stored form.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::auth::Principal;
use crate::credential::{Owner, Record, RecordKey, RecordKind};
use crate::id::{GatewayId, RecordName};
use crate::seal::hex;

/// The properties of a token to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// The owner that the token acts for.
    pub subject: Owner,
    /// Whether the token grants admin rights.
    pub admin: bool,
    /// The only gateway that accepts the token. `None`: every gateway that its subject may use.
    pub gateway: Option<GatewayId>,
    /// When the token expires. `None`: it is valid until it is revoked.
    pub expires_at: Option<SystemTime>,
}

/// Description of a token. It holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TokenInfo {
    /// The ID under which the token is listed and revoked: the first 12 hex digits of its hash.
    pub id: String,
    /// The owner that the token acts for.
    #[serde(with = "text")]
    pub subject: Owner,
    /// Whether the token grants admin rights.
    #[serde(default)]
    pub admin: bool,
    /// The only gateway that accepts the token. `None`: every gateway that its subject may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<GatewayId>,
    /// When the token was created.
    pub created_at: SystemTime,
    /// When the token expires. `None`: it is valid until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<SystemTime>,
    /// When the token was last used, to within an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<SystemTime>,
}

/// Returns the principal that a token for `subject` authenticates.
pub(super) fn principal(subject: &Owner) -> Principal {
    match subject {
        Owner::User(id) => Principal::user(id.clone(), "token"),
        Owner::Team(id) => Principal::team(id, "token"),
        Owner::Organization => Principal::organization("token"),
    }
}

/// Serializes an owner as its text form.
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

    /// Returns `true` if the token has expired at `now`.
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

/// Returns the key under which a token is stored: its hash. Tokens are random, so an unsalted hash reveals nothing.
pub(super) fn key(hash: &[u8; 32]) -> RecordKey {
    let name = RecordName::new(hex(hash)).expect("hex digits are a name");
    RecordKey::new(RecordKind::Token, name)
}
