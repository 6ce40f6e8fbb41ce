//! What is known of a token, and its form in a store.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::auth::Principal;
use crate::credential::{Record, RecordKey, RecordKind};
use crate::id::{GatewayId, PrincipalId, RecordName, TeamId};
use crate::seal::hex;

/// For whom a token speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSubject {
    /// A user.
    User(PrincipalId),
    /// A team.
    Team(TeamId),
    /// The organization.
    Organization,
}

/// A token that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// For whom it speaks.
    pub subject: TokenSubject,
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
    pub subject: TokenSubject,
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

impl TokenSubject {
    /// The principal for whom it speaks.
    pub fn principal(&self) -> Principal {
        match self {
            Self::User(id) => Principal::user(id.clone(), "token"),
            Self::Team(id) => Principal::team(id, "token"),
            Self::Organization => Principal::organization("token"),
        }
    }
}

impl fmt::Display for TokenSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user/{id}"),
            Self::Team(id) => write!(f, "team/{id}"),
            Self::Organization => f.write_str("organization"),
        }
    }
}

impl FromStr for TokenSubject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            None if text == "organization" => Ok(Self::Organization),
            Some(("user", id)) => PrincipalId::new(id)
                .map(Self::User)
                .map_err(|e| e.to_string()),
            Some(("team", id)) => TeamId::new(id).map(Self::Team).map_err(|e| e.to_string()),
            _ => Err("a token speaks for user/NAME, team/NAME or organization".to_owned()),
        }
    }
}

impl Serialize for TokenSubject {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TokenSubject {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
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
