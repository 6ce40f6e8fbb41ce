//! What is known from the servers' lists, without conclusions from what they do not contain.

use std::sync::Arc;

use super::{Claim, Hints, ItemKind, Known, ListsBy, ViewEntry};
use crate::auth::Principal;
use crate::id::ServerId;

/// Leaves out claims that hold only if no other server has an equal one. Such a claim decides only after the lists of
/// all servers have been loaded.
pub(crate) struct Certain<'a>(pub(crate) &'a dyn Known);

impl Known for Certain<'_> {
    fn holders(
        &self,
        principal: &Principal,
        kind: ItemKind,
        name: &str,
        each: &mut dyn FnMut(&ServerId, &ListsBy<'_>),
    ) {
        self.0.holders(principal, kind, name, each);
    }

    fn lists(&self, principal: &Principal, entry: &ViewEntry, kind: ItemKind, name: &str) -> bool {
        self.0.lists(principal, entry, kind, name)
    }

    fn uncut(
        &self,
        principal: &Principal,
        entry: &ViewEntry,
        kind: ItemKind,
        shown: &str,
    ) -> Option<Arc<str>> {
        self.0.uncut(principal, entry, kind, shown)
    }

    fn hints(&self, principal: &Principal, entry: &ViewEntry, tool: &str) -> Hints {
        self.0.hints(principal, entry, tool)
    }

    fn claim(&self, principal: &Principal, entry: &ViewEntry, uri: &str) -> Option<Claim> {
        let claim = self.0.claim(principal, entry, uri)?;
        (!claim.is_exclusive()).then_some(claim)
    }
}
