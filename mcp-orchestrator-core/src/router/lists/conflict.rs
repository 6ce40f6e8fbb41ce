//! Conflicts: names that several servers of a gateway list, and templates that match URIs of other servers.

use std::collections::BTreeMap;
use std::fmt;

use super::{Lists, NAMED, Snapshot};
use crate::auth::Principal;
use crate::id::Alias;
use crate::limits::MAX_CONFLICTS;
use crate::router::{Hints, ItemKind, View, is_ui};

/// An item that several servers of a gateway list to one principal under the same name, or a template of one server
/// that matches URIs of any scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conflict {
    /// The kind of the item.
    pub kind: ItemKind,
    /// The name or URI.
    pub name: String,
    /// Aliases of the servers, in the order of the configuration. The first one answers calls.
    pub servers: Vec<Alias>,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers: Vec<&str> = self.servers.iter().map(|alias| alias.as_str()).collect();
        let kind = match self.kind {
            ItemKind::Tool => "tool",
            ItemKind::Prompt => "prompt",
            ItemKind::Resource => "resource",
            ItemKind::Template => "resource template",
        };
        let first = servers.first().copied().unwrap_or_default();
        if self.kind == ItemKind::Template {
            return write!(
                f,
                "{kind} {:?} of {first} matches any URI: {first} is asked for each one that no other server lists, has \
                 named in a result or has a more literal template for",
                self.name
            );
        }
        let all = servers.join(" and ");
        write!(
            f,
            "{kind} {:?} is listed by {all}: {first} answers",
            self.name
        )
    }
}

impl Lists {
    /// Returns the names that several servers of a view list to this principal, and the templates that match URIs of
    /// any scheme. At most [`MAX_CONFLICTS`].
    pub fn conflicts(&self, principal: &Principal, view: &View) -> Vec<Conflict> {
        let now = self.now.load();
        let mut found = Vec::new();
        if view.entries.len() < 2 {
            return found;
        }
        for kind in NAMED {
            if view.prefixed && kind != ItemKind::Resource {
                continue;
            }
            let mut holders: BTreeMap<&str, Vec<Alias>> = BTreeMap::new();
            for entry in &view.entries {
                let listed = now.listed(principal, entry);
                for name in listed
                    .and_then(|listed| listed.names(kind))
                    .into_iter()
                    .flatten()
                {
                    // Addresses of user interfaces are told apart for clients.
                    if kind == ItemKind::Resource && is_ui(name) {
                        continue;
                    }
                    if entry.shows(kind, name, || {
                        listed.map_or_else(Hints::default, |listed| listed.hints(name))
                    }) {
                        holders.entry(name).or_default().push(entry.alias.clone());
                    }
                }
            }
            let several = holders.into_iter().filter(|(_, servers)| servers.len() > 1);
            found.extend(several.map(|(name, servers)| Conflict {
                kind,
                name: name.to_owned(),
                servers,
            }));
        }
        found.extend(catch_alls(&now, principal, view));
        found.truncate(MAX_CONFLICTS);
        found
    }
}

/// Returns the templates that leave the scheme open.
fn catch_alls(now: &Snapshot, principal: &Principal, view: &View) -> Vec<Conflict> {
    let mut found = Vec::new();
    for entry in &view.entries {
        let listed = now.listed(principal, entry);
        let templates = listed.into_iter().flat_map(|listed| listed.catch_alls());
        found.extend(templates.map(|template| Conflict {
            kind: ItemKind::Template,
            name: template.to_owned(),
            servers: vec![entry.alias.clone()],
        }));
    }
    found
}
