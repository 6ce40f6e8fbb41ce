//! The key of an installation.

use std::str::FromStr as _;

use super::{Owner, RecordKey, RecordKind};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{RecordName, ServerId};

/// Identifies an installation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstallationKey {
    /// The server that the credential is for.
    pub server: ServerId,
    /// The owner of the credential.
    pub owner: Owner,
}

impl From<&InstallationKey> for RecordKey {
    fn from(key: &InstallationKey) -> Self {
        let name = RecordName::new(format!("{}/{}", key.server, key.owner))
            .expect("a server's and an owner's name together are a record's name");
        Self::new(RecordKind::Installation, name)
    }
}

impl TryFrom<&RecordKey> for InstallationKey {
    type Error = Error;

    fn try_from(key: &RecordKey) -> Result<Self> {
        let parsed = (key.kind == RecordKind::Installation)
            .then(|| key.name.as_str().split_once('/'))
            .flatten()
            .and_then(|(server, owner)| {
                let (server, owner) = (ServerId::new(server).ok()?, Owner::from_str(owner).ok()?);
                Some(Self { server, owner })
            });
        parsed.ok_or_else(|| {
            let text = format!("the stored {key} is no installation of a server by an owner");
            Error::new(ErrorKind::Internal, text)
        })
    }
}
