//! File entries of the credential store.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::schema::value::Typed;

/// Storage of installed credentials, tokens and related records.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct CredentialsEntry {
    /// `local`: an encrypted file in the state directory; `kubernetes`: Secrets of the cluster; `memory`: in memory
    /// only, lost when the gateway stops. Default: `kubernetes` inside a cluster, otherwise `local`.
    pub store: Option<StoreEntry>,
    /// Encryption key of the local store: 32 bytes as 64 hex digits or base64. Default: the file `credentials.key` in
    /// the state directory, which is created with a new store.
    pub key: Option<StoreKeyEntry>,
}

/// A credential store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum StoreEntry {
    /// An encrypted file in the state directory.
    Local,
    /// In memory only, lost when the gateway stops.
    Memory,
    /// Secrets of the cluster.
    Kubernetes,
}

/// Source of the local store's key; set exactly one.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct StoreKeyEntry {
    /// A file with mode 600. A relative path starts at the directory of the configuration file.
    pub file: Option<Typed>,
    /// An environment variable of the gateway.
    pub env: Option<Typed>,
    /// A program and its arguments; the program prints the key.
    pub command: Option<Vec<Typed>>,
}
