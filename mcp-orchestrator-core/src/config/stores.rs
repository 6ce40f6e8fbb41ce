//! The credential store: file entry, settings, and opening.

use std::path::PathBuf;
use std::sync::Arc;

use super::check;
use super::file::File;
use super::file_credentials::{StoreEntry, StoreKeyEntry};
use super::globals::set;
use super::scope::Scope;
use super::settings::KubernetesSettings;
use crate::credential::{CredentialStore, MemoryCredentials};
use crate::error::Result;
use crate::state::StateDir;

/// Where credentials are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StoreSettings {
    /// In memory only: they are lost when the process ends.
    #[default]
    Memory,
    /// In a sealed file in the state directory, with this key; `None` uses a key file beside it.
    Local(Option<StoreKey>),
    /// In Secrets of this cluster.
    Kubernetes(Box<KubernetesSettings>),
}

/// The source of the local store's key.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreKey {
    /// A file.
    File(PathBuf),
    /// An environment variable of this process.
    Env(String),
    /// A program and its arguments; it prints the key.
    Command(Vec<String>),
}

impl std::fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Env(name) => f.debug_tuple("Env").field(name).finish(),
            // The arguments may be secret.
            Self::Command(line) => f.debug_tuple("Command").field(&line.first()).finish(),
        }
    }
}

/// The values of all files read so far.
#[derive(Debug, Default)]
pub(super) struct Stores {
    kind: Option<StoreEntry>,
    key: Option<StoreKey>,
}

impl Stores {
    /// Applies the entry of a file; a later file replaces an earlier one.
    pub(super) fn take(&mut self, scope: &mut Scope<'_>, file: &File) {
        let Some(entry) = &file.credentials else {
            return;
        };
        let path = scope.path.key("credentials");
        let scope = &mut scope.below(path);
        if let Some(kind) = entry.store.filter(|kind| !is_built_in(*kind)) {
            let text = format!("this program was built without the store {kind:?}").to_lowercase();
            scope.wrong("store", text);
        }
        set(scope, "store", &mut self.kind, entry.store);
        let key = entry.key.as_ref().and_then(|typed| {
            let path = scope.path.key("key");
            key(&mut scope.below(path), typed)
        });
        set(scope, "key", &mut self.key, key);
        if self.key.is_some() && !matches!(self.kind, None | Some(StoreEntry::Local)) {
            scope.notice("key", "it counts for the store local alone");
        }
    }

    /// Returns the settings. The default is the cluster's store inside a cluster, and the local disk elsewhere.
    pub(super) fn settings(self, inside: bool, cluster: &KubernetesSettings) -> StoreSettings {
        let own = match inside {
            true => [StoreEntry::Kubernetes, StoreEntry::Local],
            false => [StoreEntry::Local, StoreEntry::Memory],
        };
        let best = own.into_iter().find(|kind| is_built_in(*kind));
        match self.kind.or(best) {
            Some(StoreEntry::Local) => StoreSettings::Local(self.key),
            Some(StoreEntry::Kubernetes) => StoreSettings::Kubernetes(Box::new(cluster.clone())),
            Some(StoreEntry::Memory) | None => StoreSettings::Memory,
        }
    }
}

fn is_built_in(kind: StoreEntry) -> bool {
    match kind {
        StoreEntry::Local => cfg!(feature = "local-store"),
        StoreEntry::Kubernetes => cfg!(feature = "kubernetes"),
        StoreEntry::Memory => true,
    }
}

fn key(scope: &mut Scope<'_>, typed: &StoreKeyEntry) -> Option<StoreKey> {
    let given = [
        typed.file.is_some(),
        typed.env.is_some(),
        typed.command.is_some(),
    ];
    if given.iter().filter(|given| **given).count() != 1 {
        scope.wrong("", "the key has one source: `file`, `env` or `command`");
        return None;
    }
    if let Some(file) = scope.plain("file", typed.file.as_ref()) {
        return Some(StoreKey::File(scope.source.resolve(&file)));
    }
    if let Some(name) = scope.plain("env", typed.env.as_ref()) {
        let path = scope.path.key("env");
        scope.check(&path, check::env_name(&name))?;
        return Some(StoreKey::Env(name));
    }
    let mut line = Vec::new();
    for (index, part) in typed.command.as_deref()?.iter().enumerate() {
        let path = scope.path.key("command").index(index);
        line.push(scope.text(&path, part, None)?.expose().to_owned());
    }
    if line.first().is_none_or(|program| program.trim().is_empty()) {
        scope.wrong("command", "it names no program");
        return None;
    }
    Some(StoreKey::Command(line))
}

impl StoreSettings {
    /// Opens the store.
    pub(super) async fn open(&self, state: &StateDir) -> Result<Arc<dyn CredentialStore>> {
        match self {
            Self::Memory => Ok(Arc::new(MemoryCredentials::new())),
            Self::Local(key) => local(state, key.as_ref()).await,
            Self::Kubernetes(settings) => in_cluster(settings).await,
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LoadOptions, Variables, load_texts};

    fn loaded(text: &str, inside: bool) -> std::result::Result<StoreSettings, String> {
        let env = inside.then(|| ("KUBERNETES_SERVICE_HOST".to_owned(), "10.0.0.1".to_owned()));
        let options = LoadOptions {
            variables: Variables {
                env: env.into_iter().collect(),
                ..Variables::default()
            },
            state_dir: Some("/state".into()),
            ..LoadOptions::default()
        };
        let texts = [("/etc/mcp/c.yaml".into(), text.to_owned())];
        let loaded = load_texts(&texts, &options).map_err(|problems| problems.to_string())?;
        Ok(loaded.settings.store)
    }

    #[cfg(all(feature = "local-store", feature = "kubernetes"))]
    #[test]
    fn default_store_follows_the_environment_unless_configured() {
        assert_eq!(loaded("{}", false), Ok(StoreSettings::Local(None)));
        let named = "kubernetes: {name: main}";
        let Ok(StoreSettings::Kubernetes(cluster)) = loaded(named, true) else {
            panic!("inside a cluster it is the cluster's");
        };
        assert_eq!(cluster.name, "main");
        let memory = "credentials: {store: memory}";
        assert_eq!(loaded(memory, true), Ok(StoreSettings::Memory));
        let file = "credentials: {store: local, key: {file: keys/store}}";
        let key = StoreKey::File("/etc/mcp/keys/store".into());
        assert_eq!(loaded(file, true), Ok(StoreSettings::Local(Some(key))));
        let command = "credentials: {key: {command: [pass, show, canary]}}";
        let settings = loaded(command, false).unwrap();
        assert!(!format!("{settings:?}").contains("canary"));
    }

    #[test]
    fn invalid_key_sources_and_store_names_are_rejected() {
        for (text, part) in [
            ("credentials: {key: {}}", "one source"),
            ("credentials: {key: {env: A, file: b}}", "one source"),
            ("credentials: {key: {command: []}}", "names no program"),
            ("credentials: {key: {env: 'A=B'}}", "variable's name"),
            ("credentials: {store: vault}", "credentials.store"),
        ] {
            let error = loaded(text, false).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[cfg(feature = "local-store")]
    #[tokio::test]
    async fn default_store_persists_across_restarts() {
        use crate::credential::{Precondition, Record, RecordKey, RecordKind};
        let dir = tempfile::tempdir().unwrap();
        let key = RecordKey::new(RecordKind::Token, "hash".parse().unwrap());
        let settings = StoreSettings::Local(None);
        {
            let state = StateDir::open(dir.path()).unwrap();
            let store = settings.open(&state).await.unwrap();
            let put = store.put(&key, Record::new("{}"), Precondition::Absent);
            put.await.unwrap();
        }
        let state = StateDir::open(dir.path()).unwrap();
        let store = settings.open(&state).await.unwrap();
        assert!(store.get(&key).await.unwrap().is_some());
        assert!(dir.path().join("credentials.key").exists());
    }
}
