//! Which addresses of user interfaces and skills several servers of a view use, and how clients see them.

use std::collections::HashMap;

use super::{Catalog, Source};
use crate::auth::Principal;
use crate::id::ServerId;
use crate::router::{Claim, ItemKind, View, is_skill, may_be_changed, shown_address};

impl Catalog {
    /// Returns the address that clients see of a resource of a server, if it differs from the server's own: another
    /// server of the view uses the same `ui://` address, or a request with this `skill://` address reaches another one.
    pub(crate) fn shown_address(
        &self,
        principal: &Principal,
        view: &View,
        server: &ServerId,
        uri: &str,
    ) -> Option<String> {
        if !may_be_changed(uri) || view.entries.len() < 2 {
            return None;
        }
        // Without templates: a list may contain many addresses, and each would be compared with all of them.
        let claim_of = |entry| {
            let naming = self.lists.naming(principal, entry, uri);
            naming.or_else(|| self.carried_claim(principal, entry, uri))
        };
        let of_server = view.entries.iter().find(|entry| entry.server == *server)?;
        if is_skill(uri) {
            // The first server keeps its address, since most gateways have no other with the same skill.
            let claims = view
                .entries
                .iter()
                .filter_map(|entry| Some((claim_of(entry)?, entry)));
            let first = claims.min_by_key(|(claim, _)| *claim);
            let is_own = first.is_none_or(|(_, entry)| entry.server == *server);
            return (!is_own)
                .then(|| shown_address(&of_server.alias, uri))
                .flatten();
        }
        // What a list shows depends on lists only, so that it does not change with the results of calls.
        let is_listed = matches!(claim_of(of_server), Some(Claim::Listed | Claim::Defined));
        let mut others = view.entries.iter().filter(|entry| entry.server != *server);
        let is_shared = others.any(|other| match claim_of(other) {
            Some(Claim::Listed | Claim::Defined) => true,
            Some(Claim::Carried(_)) => !is_listed,
            _ => false,
        });
        is_shared
            .then(|| shown_address(&of_server.alias, uri))
            .flatten()
    }

    /// Returns the addresses in one server's part of a list that clients see differently.
    pub(crate) fn renamed(
        &self,
        principal: &Principal,
        view: &View,
        source: &Source,
        kind: ItemKind,
    ) -> HashMap<String, String> {
        let mut renamed = HashMap::new();
        let mut entries = view.entries.iter();
        let Some(entry) = entries.find(|entry| entry.alias == source.alias) else {
            return renamed;
        };
        let shown = |uri: &str| self.shown_address(principal, view, &entry.server, uri);
        for item in source.kept.items(kind) {
            let named = (kind != ItemKind::Tool).then_some(&item.name);
            for uri in item.ui.iter().chain(named) {
                if let Some(shown) = shown(uri) {
                    renamed.insert(uri.clone(), shown);
                }
            }
        }
        renamed
    }
}
