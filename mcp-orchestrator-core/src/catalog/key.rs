//! Keys of the list cache.

use crate::credential::{Credential, Owner, Revision};
use crate::id::ServerId;
use crate::router::ItemKind;
use crate::runtime::InstanceKey;

/// The kinds of lists that a request is about.
pub(crate) type ItemKinds<'a> = &'a [ItemKind];

/// Identifies the lists of a server for one owner and revision of a credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ListKey {
    pub(super) server: ServerId,
    pub(super) owner: Owner,
    pub(super) revision: Revision,
}

impl ListKey {
    pub(crate) fn new(server: &ServerId, credential: &Credential) -> Self {
        let (owner, revision) = (credential.owner.clone(), credential.revision.clone());
        Self {
            server: server.clone(),
            owner,
            revision,
        }
    }
}

impl ListKey {
    /// Returns the server.
    pub(crate) fn server(&self) -> &ServerId {
        &self.server
    }

    /// Returns `true` for the lists that need no credential.
    pub(super) fn is_without(&self) -> bool {
        self.revision == Revision::none()
    }

    pub(super) fn is_of(&self, server: &ServerId, owner: &Owner) -> bool {
        self.server == *server && self.owner == *owner && !self.is_without()
    }
}

impl From<&InstanceKey> for ListKey {
    fn from(key: &InstanceKey) -> Self {
        let (owner, revision) = (key.owner().clone(), key.revision().clone());
        Self {
            server: key.server().clone(),
            owner,
            revision,
        }
    }
}

/// Which lists have changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    pub(crate) tools: bool,
    pub(crate) prompts: bool,
    pub(crate) resources: bool,
}

impl Changed {
    pub(crate) const ALL: Self = Self {
        tools: true,
        prompts: true,
        resources: true,
    };

    /// Returns the lists that changed in either.
    pub(crate) const fn or(self, other: Self) -> Self {
        Self {
            tools: self.tools || other.tools,
            prompts: self.prompts || other.prompts,
            resources: self.resources || other.resources,
        }
    }

    pub(crate) fn any(self) -> bool {
        self.tools || self.prompts || self.resources
    }
}
