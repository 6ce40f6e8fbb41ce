//! Conflicts: names that several servers of a gateway list, and templates that match URIs of other servers.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use super::{Lists, NAMED, Snapshot};
use crate::auth::Principal;
use crate::id::Alias;
use crate::limits::MAX_CONFLICTS;
use crate::router::{Hints, ItemKind, View, may_be_changed};

/// An item that a gateway does not show to a principal as its server lists it, or not as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conflict {
    /// The kind of the item.
    pub kind: ItemKind,
    /// The name or URI.
    pub name: String,
    /// Aliases of the servers, in the order of the configuration. The first one answers calls.
    pub servers: Vec<Alias>,
    /// What is wrong.
    pub cause: ConflictCause,
}

/// The cause of a [`Conflict`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConflictCause {
    /// Several servers list the item under the same name.
    SeveralServers,
    /// The template matches URIs of any scheme.
    MatchesAnyUri,
    /// Another tool of the server, with this own name, was renamed to the name of this one.
    NameTaken(String),
    /// The gateway changes the tool, and the server does not list it.
    NotListed,
    /// The gateway sets this argument, and the tool does not declare it.
    UnknownArgument(String),
    /// The gateway hides this argument, and the input schema still names it under this keyword.
    ArgumentInSchema {
        /// The argument.
        argument: String,
        /// The keyword of JSON Schema.
        keyword: &'static str,
    },
}

impl Conflict {
    /// Returns `true` if an item cannot be reached.
    pub fn hides_item(&self) -> bool {
        match self.cause {
            ConflictCause::SeveralServers => {
                matches!(self.kind, ItemKind::Tool | ItemKind::Prompt)
            }
            ConflictCause::NameTaken(_) => true,
            _ => false,
        }
    }
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
        let name = &self.name;
        match &self.cause {
            ConflictCause::SeveralServers => {
                let all = servers.join(" and ");
                write!(f, "{kind} {name:?} is listed by {all}: {first} answers")
            }
            ConflictCause::MatchesAnyUri => write!(
                f,
                "{kind} {name:?} of {first} matches any URI: {first} is asked for each one that no other server lists, \
                 has named in a result or has a more literal template for"
            ),
            ConflictCause::NameTaken(tool) => write!(
                f,
                "{kind} {name:?} of {first} is not shown: its tool {tool:?} is renamed to this name"
            ),
            ConflictCause::NotListed => {
                write!(
                    f,
                    "{kind} {name:?} of {first} is changed, and {first} does not list it"
                )
            }
            ConflictCause::UnknownArgument(argument) => write!(
                f,
                "{kind} {name:?} of {first}: it declares no argument {argument:?}, which is set on every call"
            ),
            ConflictCause::ArgumentInSchema { argument, keyword } => write!(
                f,
                "{kind} {name:?} of {first}: the argument {argument:?} is set on every call, but its input schema names \
                 it under `{keyword}` too, so that callers see it; calls that send it are rejected"
            ),
        }
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
            let mut holders: BTreeMap<Cow<'_, str>, Vec<Alias>> = BTreeMap::new();
            for entry in &view.entries {
                let listed = now.listed(principal, entry);
                for name in listed
                    .and_then(|listed| listed.names(kind))
                    .into_iter()
                    .flatten()
                {
                    // Addresses of user interfaces and skills are told apart for clients.
                    if kind == ItemKind::Resource && may_be_changed(name) {
                        continue;
                    }
                    if entry.shows(kind, name, || {
                        listed.map_or_else(Hints::default, |listed| listed.hints(name))
                    }) && let Some(shown) = entry.shown_as(kind, name, false)
                    {
                        let holders = holders.entry(shown).or_default();
                        holders.push(entry.alias.clone());
                    }
                }
            }
            let several = holders.into_iter().filter(|(_, servers)| servers.len() > 1);
            found.extend(several.map(|(name, servers)| Conflict {
                kind,
                name: name.into_owned(),
                servers,
                cause: ConflictCause::SeveralServers,
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
            cause: ConflictCause::MatchesAnyUri,
        }));
    }
    found
}
