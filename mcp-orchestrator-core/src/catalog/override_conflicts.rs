//! Compares what a gateway changes of a server's tools with the tools that the server lists.

use super::item::Leftover;
use super::{ListState, Source};
use crate::limits::MAX_CONFLICTS;
use crate::router::{Conflict, ConflictCause, ItemKind, ToolOverride};

/// Returns the overrides of a source's tools that hide another tool or do not have their full effect. At most
/// [`MAX_CONFLICTS`].
pub(crate) fn override_conflicts(source: &Source) -> Vec<Conflict> {
    let mut found = Vec::new();
    for (own, change) in source.overrides.iter() {
        let causes = causes(source, own, change).into_iter();
        found.extend(causes.map(|(name, cause)| Conflict {
            kind: ItemKind::Tool,
            name: name.to_owned(),
            servers: vec![source.alias.clone()],
            cause,
        }));
        if found.len() >= MAX_CONFLICTS {
            found.truncate(MAX_CONFLICTS);
            break;
        }
    }
    found
}

fn causes<'a>(
    source: &'a Source,
    own: &'a str,
    change: &'a ToolOverride,
) -> Vec<(&'a str, ConflictCause)> {
    let tools = source.kept.items(ItemKind::Tool);
    let listed = |name: &str| tools.iter().find(|item| item.name == name);
    let mut found = Vec::new();
    if let Some(name) = &change.name
        && source.overrides.shown(name).is_none()
        && listed(name).is_some_and(|taken| source.tools.shows(name, || taken.hints))
    {
        found.push((&**name, ConflictCause::NameTaken(own.to_owned())));
    }
    let is_known = matches!(
        source.kept.state(ItemKind::Tool),
        ListState::Whole | ListState::Lacking
    );
    let Some(item) = listed(own) else {
        if is_known {
            found.push((own, ConflictCause::NotListed));
        }
        return found;
    };
    for (argument, leftover) in item.leftovers(&change.arguments) {
        let cause = match leftover {
            Leftover::Unknown => ConflictCause::UnknownArgument(argument),
            Leftover::Named(keyword) => ConflictCause::ArgumentInSchema { argument, keyword },
        };
        found.push((own, cause));
    }
    found
}
