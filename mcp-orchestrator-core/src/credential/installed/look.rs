//! What the index holds for a request.

use std::time::SystemTime;

use super::index::{Held, Renewing};
use crate::credential::{CredentialRequest, InstallationKey};
use crate::server::ServerSpec;

/// The credential found for a request.
pub(super) enum CredentialLookup {
    Nothing,
    Good(Held),
    /// Expired, or rejected by the server.
    Bad(Held),
}

impl Held {
    /// Returns `true` if the request reports this credential, or a newer generation of it, as rejected.
    pub(super) fn is_rejected(&self, request: &CredentialRequest<'_>) -> bool {
        let credential = &self.credential;
        request.rejected.is_some_and(|(revision, generation)| {
            credential.revision == *revision && credential.generation <= generation
        })
    }

    pub(super) fn is_good(&self, request: &CredentialRequest<'_>) -> bool {
        let over = |end| end <= SystemTime::now();
        !self.is_rejected(request) && !self.credential.expires_at.is_some_and(over)
    }

    pub(super) fn key(&self, server: &ServerSpec) -> InstallationKey {
        InstallationKey {
            server: server.id.clone(),
            owner: self.credential.owner.clone(),
        }
    }

    pub(super) fn is_due(&self) -> bool {
        let due = |due: &SystemTime| *due <= SystemTime::now();
        matches!(&self.renewal, Renewing::Due(Some(at)) if due(at))
    }
}
