//! The sources of configured credentials, and a reader for the Secrets that `from_secret` names. Access to the cluster is
//! opened on first use.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use crate::config::{ConfiguredCredential, CredentialSource, KubernetesSettings, Settings};
#[cfg(feature = "kubernetes")]
use crate::credential::ClusterSecrets;
use crate::credential::{SecretData, SecretReader, SlotSources, Source};
use crate::error::{Error, Result};
use crate::value::Text;

/// Reads Secrets of the configured cluster.
#[derive(Debug)]
struct LazySecretReader {
    #[cfg_attr(
        not(feature = "kubernetes"),
        expect(dead_code, reason = "it names a cluster that nothing here can ask")
    )]
    cluster: KubernetesSettings,
    #[cfg(feature = "kubernetes")]
    secrets: tokio::sync::OnceCell<ClusterSecrets>,
}

impl Settings {
    /// Returns a reader for the Secrets that credentials name, including credentials that a later reload adds.
    ///
    /// # Errors
    /// Fails if a Secret is named and no access to a cluster is configured. Makes no request to the cluster.
    pub(crate) async fn secret_reader(&self) -> Result<Arc<dyn SecretReader>> {
        let reader = LazySecretReader {
            cluster: self.secrets.clone(),
            #[cfg(feature = "kubernetes")]
            secrets: tokio::sync::OnceCell::new(),
        };
        if let Some(credential) = self.credentials.iter().find(|one| names_secret(one)) {
            reader.find().await.map_err(|error| {
                let text = format!(
                    "slot {} of server {} is in a secret of a cluster: {error}",
                    credential.slot, credential.server
                );
                Error::new(error.kind(), text).with_source(error)
            })?;
        }
        Ok(Arc::new(reader))
    }
}

/// Returns the source of each slot.
pub(super) fn slot_sources(credentials: &[ConfiguredCredential]) -> SlotSources {
    let mut sources: SlotSources = BTreeMap::new();
    for credential in credentials {
        let source = match &credential.source {
            CredentialSource::Value(Text::Secret(secret)) => Source::Value(secret.clone()),
            CredentialSource::Value(Text::Plain(text)) => Source::Value(text.clone().into()),
            CredentialSource::Env(name) => Source::Env(name.clone()),
            CredentialSource::File(path) => Source::File(path.clone()),
            CredentialSource::Secret(place) => Source::Secret(place.clone()),
        };
        sources
            .entry(credential.server.clone())
            .or_default()
            .insert(credential.slot.clone(), source);
    }
    sources
}

fn names_secret(credential: &ConfiguredCredential) -> bool {
    matches!(credential.source, CredentialSource::Secret(_))
}

#[cfg(feature = "kubernetes")]
impl LazySecretReader {
    async fn find(&self) -> Result<&ClusterSecrets> {
        let open = || async { Ok(ClusterSecrets::new(self.cluster.open().await?)) };
        self.secrets.get_or_try_init(open).await
    }
}

#[cfg(not(feature = "kubernetes"))]
impl LazySecretReader {
    async fn find(&self) -> Result<&Self> {
        let text = "this program was built without Kubernetes";
        std::future::ready(Err(Error::new(crate::error::ErrorKind::Unsupported, text))).await
    }
}

#[async_trait]
impl SecretReader for LazySecretReader {
    async fn read(&self, name: &str) -> Result<Option<Arc<SecretData>>> {
        self.find().await?.read(name).await
    }
}

#[cfg(all(test, feature = "kubernetes"))]
mod tests {
    use super::*;
    use crate::config::load_texts;
    use crate::credential::SecretPlace;

    const NAMED: &str = "
kubernetes: {kubeconfig: /no/such/kubeconfig}
servers:
  git:
    command: [git-mcp]
    credentials: [{name: token, env: TOKEN, from_secret: {name: git, key: token}}]
";

    fn settings(text: &str) -> std::result::Result<Settings, String> {
        let texts = [("/etc/mcp/c.yaml".into(), text.to_owned())];
        let options = crate::config::LoadOptions {
            state_dir: Some("/state".into()),
            ..Default::default()
        };
        let loaded = load_texts(&texts, &options).map_err(|problems| problems.to_string())?;
        Ok(loaded.settings)
    }

    #[tokio::test]
    async fn missing_cluster_access_names_the_slot_that_needs_it() {
        let named = settings(NAMED).unwrap();
        let CredentialSource::Secret(place) = &named.credentials[0].source else {
            panic!("{:?}", named.credentials);
        };
        let (name, key) = ("git".to_owned(), "token".to_owned());
        assert_eq!(*place, SecretPlace { name, key });
        let error = named.secret_reader().await.unwrap_err().to_string();
        assert!(
            error.starts_with("slot token of server git is in a secret of a cluster: kubeconfig"),
            "{error}"
        );
        let none = settings(&NAMED.replace(", from_secret: {name: git, key: token}", ""));
        none.unwrap().secret_reader().await.unwrap();
    }

    #[cfg(feature = "test-util")]
    #[tokio::test]
    async fn configured_reader_upholds_the_reader_contract() {
        use crate::kubernetes::tests::api_server::{SECRET, kubeconfig, with_one_secret};
        let (_server, address) = with_one_secret().await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kubeconfig");
        std::fs::write(&file, kubeconfig(&address)).unwrap();
        let named = NAMED.replace("/no/such/kubeconfig", file.to_str().unwrap());
        let reader = settings(&named).unwrap().secret_reader().await.unwrap();
        crate::testing::credential::secret_reader(&*reader, ("git", &SECRET), "none").await;
    }

    #[test]
    fn invalid_secret_names_are_reported_at_their_key() {
        for (from, to, at) in [
            ("name: git,", "name: Git,", "from_secret.name"),
            ("name: git,", "name: ../git,", "from_secret.name"),
            ("key: token}", "key: a/b}", "from_secret.key"),
        ] {
            let error = settings(&NAMED.replace(from, to)).unwrap_err();
            assert!(error.contains(at), "{error}");
        }
    }
}
