//! The lists of one server for each owner, and which of them applies to a principal.

use std::collections::HashSet;
use std::sync::Arc;

use foldhash::HashMap;

use crate::auth::Principal;
use crate::credential::{CredentialRule, Owner, Revision};
use crate::id::ServerId;
use crate::router::{ItemKind, Listed};

/// The lists of one server, by owner. Only the most recently used revision of an owner's credential is kept.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) id: ServerId,
    /// The list that needs no credential.
    pub(super) without: Option<Own>,
    pub(super) organization: Option<Own>,
    pub(super) others: HashMap<Owner, Own>,
}

#[derive(Clone, Debug)]
pub(super) struct Own {
    pub(super) revision: Revision,
    pub(super) listed: Arc<Listed>,
}

impl Server {
    pub(super) fn new(id: ServerId) -> Self {
        Self {
            id,
            without: None,
            organization: None,
            others: HashMap::default(),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Own> {
        let common = self.without.iter().chain(&self.organization);
        common.chain(self.others.values())
    }

    pub(super) fn own(&self, owner: &Owner, revision: &Revision) -> Option<&Own> {
        match owner {
            Owner::Organization if *revision == Revision::none() => self.without.as_ref(),
            Owner::Organization => self.organization.as_ref(),
            other => self.others.get(other),
        }
    }

    pub(super) fn set(&mut self, owner: &Owner, revision: &Revision, listed: Listed) {
        // Most owners see the same list, so share it.
        let same = self.all().take(3).find(|own| *own.listed == listed);
        let listed = same.map_or_else(|| Arc::new(listed), |own| Arc::clone(&own.listed));
        let own = Own {
            revision: revision.clone(),
            listed,
        };
        match owner {
            Owner::Organization if *revision == Revision::none() => self.without = Some(own),
            Owner::Organization => self.organization = Some(own),
            other => drop(self.others.insert(other.clone(), own)),
        }
    }

    /// Returns `true` if all principals see the same list under this rule, so that the index alone decides.
    pub(super) fn is_same_for_all(&self, rule: &CredentialRule) -> bool {
        let alone = self.without.is_some() && self.organization.is_none() && self.others.is_empty();
        alone && !matches!(rule, CredentialRule::Pinned(_))
    }

    /// Returns the list that applies to a principal: that of the credential it is called with.
    pub(super) fn seen_by(
        &self,
        principal: &Principal,
        rule: &CredentialRule,
    ) -> Option<&Arc<Listed>> {
        let own = match rule {
            CredentialRule::None => self.without.as_ref(),
            CredentialRule::Pinned(Owner::Organization) => self.organization.as_ref(),
            CredentialRule::Pinned(owner) => self.others.get(owner),
            CredentialRule::Resolve | CredentialRule::ResolveAmong(_) => self
                .resolved(principal, rule)
                .or(self.organization.as_ref())
                .or(self.without.as_ref()),
        };
        own.map(|own| &own.listed)
    }

    /// Returns the list of the first owner in the rule's order that has one. The organization's list is handled by the
    /// caller.
    fn resolved(&self, principal: &Principal, rule: &CredentialRule) -> Option<&Own> {
        if self.others.is_empty() {
            return None;
        }
        let owners = rule.owners(principal);
        owners
            .take_while(|owner| *owner != Owner::Organization)
            .find_map(|owner| self.others.get(&owner))
    }

    /// Returns the names that are listed to any owner.
    pub(super) fn union(&self, kind: ItemKind) -> HashSet<Arc<str>> {
        let mut seen: HashSet<*const Listed> = HashSet::new();
        let different = self
            .all()
            .filter(|own| seen.insert(Arc::as_ptr(&own.listed)));
        let names = different.filter_map(|own| own.listed.names(kind));
        names.flatten().cloned().collect()
    }
}
