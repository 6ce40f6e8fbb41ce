//! The key of a cache entry.

use crate::auth::Principal;
use crate::credential::{CredentialRequest, CredentialRule};
use crate::id::{ServerId, SlotName};

/// What a cached credential is valid for. Changing a server's slots changes the key.
#[derive(Debug)]
pub(super) struct Key {
    principal: Principal,
    server: ServerId,
    rule: CredentialRule,
    slots: Vec<(SlotName, bool)>,
}

impl Key {
    pub(super) fn new(request: &CredentialRequest<'_>) -> Self {
        let slots = request.server.slots.iter();
        Self {
            principal: request.principal.clone(),
            server: request.server.id.clone(),
            rule: request.rule.clone(),
            slots: slots
                .map(|slot| (slot.name.clone(), slot.required))
                .collect(),
        }
    }

    pub(super) fn server(&self) -> &ServerId {
        &self.server
    }

    pub(super) fn is_of(&self, request: &CredentialRequest<'_>) -> bool {
        let slots = &request.server.slots;
        self.principal == *request.principal
            && self.server == request.server.id
            && self.rule == *request.rule
            && self.slots.len() == slots.len()
            && self
                .slots
                .iter()
                .zip(slots)
                .all(|((name, required), slot)| *name == slot.name && *required == slot.required)
    }
}
