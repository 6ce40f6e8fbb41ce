//! File entries of the credential store.

use schemars::JsonSchema;
use serde::Deserialize;

use super::file::Typed;

/// Where installed credentials, tokens and what belongs to them are kept.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CredentialsEntry {
    /// `local`: a sealed file in the state directory; `kubernetes`: Secrets of the cluster; `memory`: nowhere, they end
    /// with the gateway. Absent: `local`, and inside a cluster `kubernetes`.
    pub store: Option<StoreEntry>,
    /// The key under which the local store is sealed: 32 bytes as 64 hex digits or base64; absent: the file
    /// `credentials.key` in the state directory, which is made where it is not there.
    pub key: Option<StoreKeyEntry>,
}

/// A store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StoreEntry {
    /// A sealed file in the state directory.
    Local,
    /// Nowhere: they end with the gateway.
    Memory,
    /// Secrets of the cluster.
    Kubernetes,
}

/// Where the local store's key comes from: one of these.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StoreKeyEntry {
    /// A file with mode 600; a relative one starts at the configuration file's folder.
    pub file: Option<Typed>,
    /// A variable of the gateway's environment.
    pub env: Option<Typed>,
    /// A program and its arguments, which prints the key.
    pub command: Option<Vec<Typed>>,
}
