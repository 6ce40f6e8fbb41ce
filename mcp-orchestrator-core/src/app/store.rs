//! Opens the credential store.

use std::sync::Arc;

use crate::config::{KubernetesSettings, StoreKey, StoreSettings};
use crate::credential::{CredentialStore, MemoryCredentials};
use crate::error::Result;
use crate::state::StateDir;

/// Opens the store of these settings.
pub(super) async fn open(
    settings: &StoreSettings,
    state: &StateDir,
) -> Result<Arc<dyn CredentialStore>> {
    match settings {
        StoreSettings::Memory => Ok(Arc::new(MemoryCredentials::new())),
        StoreSettings::Local(key) => local(state, key.as_ref()).await,
        StoreSettings::Kubernetes(settings) => in_cluster(settings).await,
    }
}

#[cfg(feature = "local-store")]
async fn local(state: &StateDir, key: Option<&StoreKey>) -> Result<Arc<dyn CredentialStore>> {
    use crate::credential::{KeySource, LocalCredentials, LocalOptions};
    let key = match key.cloned() {
        None => KeySource::File(state.path().join("credentials.key")),
        Some(StoreKey::File(path)) => KeySource::File(path),
        Some(StoreKey::Env(name)) => KeySource::Env(name),
        Some(StoreKey::Command(line)) => KeySource::Command(line),
    };
    let options = LocalOptions::new(state.path().join("credentials"), key);
    Ok(Arc::new(LocalCredentials::open(options).await?))
}

#[cfg(feature = "kubernetes")]
async fn in_cluster(settings: &KubernetesSettings) -> Result<Arc<dyn CredentialStore>> {
    use crate::credential::KubernetesCredentials;
    let access = settings.open().await?;
    let store = KubernetesCredentials::open(access, settings.name.clone());
    Ok(Arc::new(store.await?))
}

#[cfg(not(feature = "local-store"))]
async fn local(_: &StateDir, _: Option<&StoreKey>) -> Result<Arc<dyn CredentialStore>> {
    std::future::ready(Err(unbuilt("local"))).await
}

#[cfg(not(feature = "kubernetes"))]
async fn in_cluster(_: &KubernetesSettings) -> Result<Arc<dyn CredentialStore>> {
    std::future::ready(Err(unbuilt("kubernetes"))).await
}

#[cfg(not(all(feature = "local-store", feature = "kubernetes")))]
fn unbuilt(store: &str) -> crate::error::Error {
    let text = format!("this program was built without the store {store} for credentials");
    crate::error::Error::new(crate::error::ErrorKind::Unsupported, text)
}

#[cfg(all(test, feature = "local-store"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn default_store_persists_across_restarts() {
        use crate::credential::{Precondition, Record, RecordKey, RecordKind};
        let dir = tempfile::tempdir().unwrap();
        let key = RecordKey::new(RecordKind::Token, "hash".parse().unwrap());
        let settings = StoreSettings::Local(None);
        {
            let state = StateDir::open(dir.path()).unwrap();
            let store = open(&settings, &state).await.unwrap();
            let put = store.put(&key, Record::new("{}"), Precondition::Absent);
            put.await.unwrap();
        }
        let state = StateDir::open(dir.path()).unwrap();
        let store = open(&settings, &state).await.unwrap();
        assert!(store.get(&key).await.unwrap().is_some());
        assert!(dir.path().join("credentials.key").exists());
    }
}
