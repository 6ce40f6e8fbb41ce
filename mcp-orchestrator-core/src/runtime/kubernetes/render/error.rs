//! Why the objects of an instance cannot be rendered.

use super::patch::Refused;
use crate::error::{Error, ErrorKind};
use crate::id::{ServerId, SlotName};

/// Why a server cannot be rendered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error("it is a remote server, and runs nowhere")]
    Remote,
    #[error("slot `{0}` is required and has no value")]
    NoValue(SlotName),
    #[error("slot `{0}`: `{1}` is no plain file name")]
    FileName(SlotName, String),
    #[error("`egress`: `{0}` is no network; write `10.0.0.0/8` or `10.0.0.0/8:443`")]
    Egress(String),
    #[error("`{key}` is not what Kubernetes calls a {kind}: {error}")]
    Json {
        key: &'static str,
        kind: &'static str,
        error: serde_json::Error,
    },
    #[error("the patch of its pod template was refused: {0}")]
    Patch(#[from] Refused),
}

impl Failed {
    /// Converts to the error that a caller sees.
    pub(crate) fn of(self, server: &ServerId) -> Error {
        let kind = match self {
            Self::Remote => ErrorKind::Unsupported,
            _ => ErrorKind::StartFailed,
        };
        Error::new(kind, "its entry cannot become a pod")
            .with_server(server)
            .with_source(self)
    }
}
