//! The sources of configured credentials.

use std::path::PathBuf;

use crate::credential::SecretPlace;
use crate::id::{ServerId, SlotName};
use crate::value::Text;

/// The source of a server's credential slot.
#[derive(Clone, Debug)]
pub struct ConfiguredCredential {
    /// The server that the slot belongs to.
    pub server: ServerId,
    /// The slot.
    pub slot: SlotName,
    /// The source of its value.
    pub source: CredentialSource,
}

/// The source of a value.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CredentialSource {
    /// The configuration; always [`Text::Secret`].
    Value(Text),
    /// An environment variable of this process, read when it is needed.
    Env(String),
    /// A file, read when it is needed.
    File(PathBuf),
    /// A Secret of the cluster, read when it is needed.
    Secret(SecretPlace),
}
