//! Settings of the credential store.

use std::path::PathBuf;

use super::backends::KubernetesSettings;

/// Where credentials are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
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
#[non_exhaustive]
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
