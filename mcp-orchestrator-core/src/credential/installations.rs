//! The installed credentials among the records of a store.

use std::fmt;
use std::str::FromStr as _;
use std::sync::Arc;

use super::{
    CredentialStore, Owner, Precondition, RecordKey, RecordKind, StoredCredential, Version,
};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{RecordName, ServerId};

/// Under what an installation is stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstallationKey {
    /// The server.
    pub server: ServerId,
    /// Whose it is.
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

/// An installation and its version, as a list answers it.
pub type Installed = (InstallationKey, StoredCredential, Version);

/// The installations in a store. What holds for the store holds here: preconditions, versions, what is absent.
///
/// # Example
/// ```
/// # use std::sync::Arc;
/// use mcp_orchestrator_core::credential::{
///     Generation, InstallationKey, Installations, MemoryCredentials, Owner, Precondition, Revision,
///     StoredCredential,
/// };
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let installations = Installations::new(Arc::new(MemoryCredentials::new()));
/// let key = InstallationKey { server: "git".parse()?, owner: Owner::Organization };
/// let credential = StoredCredential {
///     revision: Revision::new("first"),
///     generation: Generation::default(),
///     values: [("token".parse()?, "secret".into())].into(),
///     settings: [].into(),
///     expires_at: None,
///     renewal: None,
/// };
/// installations.put(&key, &credential, Precondition::Absent).await?;
/// let (found, _version) = installations.get(&key).await?.expect("it is installed");
/// assert_eq!(found.revision, credential.revision);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Installations(Arc<dyn CredentialStore>);

impl Installations {
    /// Those in this store.
    pub fn new(store: Arc<dyn CredentialStore>) -> Self {
        Self(store)
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn CredentialStore> {
        &self.0
    }

    /// The installation and its version; `None` where there is none.
    ///
    /// # Errors
    /// Where the store fails, or holds something that is no installation, which it names.
    pub async fn get(&self, key: &InstallationKey) -> Result<Option<(StoredCredential, Version)>> {
        let found = self.0.get(&key.into()).await;
        let found = found.map_err(|error| error.with_server(&key.server))?;
        let Some((record, version)) = found else {
            return Ok(None);
        };
        let credential = StoredCredential::from_record(key, &record);
        let credential = credential.map_err(|error| error.with_server(&key.server))?;
        Ok(Some((credential, version)))
    }

    /// Writes the installation where the precondition holds.
    ///
    /// # Errors
    /// [`Conflict`](ErrorKind::Conflict) where it does not, and where the store fails.
    pub async fn put(
        &self,
        key: &InstallationKey,
        credential: &StoredCredential,
        precondition: Precondition,
    ) -> Result<Version> {
        let record = credential.to_record(key)?;
        let put = self.0.put(&key.into(), record, precondition).await;
        put.map_err(|error| error.with_server(&key.server))
    }

    /// Takes the installation away where the precondition holds; whether it was this call that did.
    ///
    /// # Errors
    /// [`Conflict`](ErrorKind::Conflict) where it does not, and where the store fails.
    pub async fn delete(&self, key: &InstallationKey, precondition: Precondition) -> Result<bool> {
        let deleted = self.0.delete(&key.into(), precondition).await;
        deleted.map_err(|error| error.with_server(&key.server))
    }

    /// All installations, by server, then owner. One that is broken is an error in its place, which names it.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn list(&self) -> Result<Vec<Result<Installed>>> {
        let records = self.0.list(RecordKind::Installation).await?;
        let read = records.iter().map(|(key, record, version)| {
            let key = InstallationKey::try_from(key)?;
            let credential = StoredCredential::from_record(&key, record);
            let credential = credential.map_err(|error| error.with_server(&key.server))?;
            Ok((key, credential, version.clone()))
        });
        Ok(read.collect())
    }
}

/// An installation, or why it cannot be read.
pub(crate) type Readable = (InstallationKey, Result<(StoredCredential, Version)>);

impl Installations {
    /// All installations with whose they are; an error where one cannot be read. What stands under a name that is nobody's
    /// is left out, and logged.
    ///
    /// # Errors
    /// Where the store fails.
    pub(crate) async fn list_by_key(&self) -> Result<Vec<Readable>> {
        let records = self.0.list(RecordKind::Installation).await?;
        let mut all = Vec::with_capacity(records.len());
        for (key, record, version) in records {
            let key = match InstallationKey::try_from(&key) {
                Ok(key) => key,
                Err(error) => {
                    tracing::error!(%error, "a stored installation is nobody's");
                    continue;
                }
            };
            let credential = StoredCredential::from_record(&key, &record);
            let credential = credential.map_err(|error| error.with_server(&key.server));
            all.push((key, credential.map(|credential| (credential, version))));
        }
        Ok(all)
    }
}

impl fmt::Debug for Installations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Installations").field(&self.0).finish()
    }
}

#[cfg(test)]
mod tests;
