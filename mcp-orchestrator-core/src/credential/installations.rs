//! Installed credentials as records of a store.

use std::fmt;
use std::sync::Arc;

use super::{
    CredentialStore, InstallationKey, Precondition, RecordKind, StoredCredential, Version,
};
use crate::error::Result;

/// An installation with its key and version, as returned by a list.
pub type Installed = (InstallationKey, StoredCredential, Version);

/// The installations in a store. The store's contract applies: preconditions, versions, and what counts as absent.
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
    /// Creates a view of the installations in `store`.
    pub fn new(store: Arc<dyn CredentialStore>) -> Self {
        Self(store)
    }

    /// Returns the underlying store.
    pub fn store(&self) -> &Arc<dyn CredentialStore> {
        &self.0
    }

    /// Returns the installation and its version, or `None` if it does not exist.
    ///
    /// # Errors
    /// If the store fails, or if the record is not a valid installation; the error then names it.
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

    /// Writes the installation if the precondition holds.
    ///
    /// # Errors
    /// [`Conflict`](crate::ErrorKind::Conflict) if the precondition does not hold, or any error of the store.
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

    /// Deletes the installation if the precondition holds. Returns `true` if this call deleted it.
    ///
    /// # Errors
    /// [`Conflict`](crate::ErrorKind::Conflict) if the precondition does not hold, or any error of the store.
    pub async fn delete(&self, key: &InstallationKey, precondition: Precondition) -> Result<bool> {
        let deleted = self.0.delete(&key.into(), precondition).await;
        deleted.map_err(|error| error.with_server(&key.server))
    }

    /// Returns all installations, ordered by server and owner. A broken one is returned as an error that names it.
    ///
    /// # Errors
    /// If the store cannot be read.
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

/// An installation, or the reason why it cannot be read.
pub(crate) type Readable = (InstallationKey, Result<(StoredCredential, Version)>);

impl Installations {
    /// Returns all installations with their keys; the value is an error if the record cannot be read. Records without
    /// a valid key are logged and skipped.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn list_by_key(&self) -> Result<Vec<Readable>> {
        let records = self.0.list(RecordKind::Installation).await?;
        let mut all = Vec::with_capacity(records.len());
        for (key, record, version) in records {
            let key = match InstallationKey::try_from(&key) {
                Ok(key) => key,
                Err(error) => {
                    tracing::error!(%error, "a stored installation has no owner");
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
