//! What one list tells of a server: the names of its items, and which resources may be its own.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{Claim, Hints, ItemKind, LONGEST};

/// Own names that, with the shortest prefix, may not fit.
const LONG: usize = 40;

/// The names that a server lists to one owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    tools: HashSet<Arc<str>>,
    prompts: HashSet<Arc<str>>,
    resources: HashSet<Arc<str>>,
    templates: Vec<Arc<str>>,
    /// Of the tools that are annotated.
    hints: HashMap<Arc<str>, Hints>,
}

impl Listed {
    /// The same, with these items of a kind: names of tools and prompts, URIs of resources and templates.
    #[must_use]
    pub fn with<S: Into<Arc<str>>>(
        mut self,
        kind: ItemKind,
        names: impl IntoIterator<Item = S>,
    ) -> Self {
        let names = names.into_iter().map(Into::into);
        match kind {
            ItemKind::Tool => self.tools.extend(names),
            ItemKind::Prompt => self.prompts.extend(names),
            ItemKind::Resource => self.resources.extend(names),
            ItemKind::Template => {
                self.templates.extend(names);
                self.templates.sort();
                self.templates.dedup();
            }
        }
        self
    }

    /// The same, with what is said of a tool.
    #[must_use]
    pub fn with_hints(mut self, tool: impl Into<Arc<str>>, hints: Hints) -> Self {
        if hints != Hints::default() {
            self.hints.insert(tool.into(), hints);
        }
        self
    }

    /// What is said of a tool.
    pub fn hints(&self, tool: &str) -> Hints {
        self.hints.get(tool).copied().unwrap_or_default()
    }

    /// Whether an item of this name is listed.
    pub fn has(&self, kind: ItemKind, name: &str) -> bool {
        match self.names(kind) {
            Some(names) => names.contains(name),
            None => self.templates.iter().any(|template| **template == *name),
        }
    }

    /// The names of a kind; none for templates, which are matched and not looked up.
    pub(super) fn names(&self, kind: ItemKind) -> Option<&HashSet<Arc<str>>> {
        match kind {
            ItemKind::Tool => Some(&self.tools),
            ItemKind::Prompt => Some(&self.prompts),
            ItemKind::Resource => Some(&self.resources),
            ItemKind::Template => None,
        }
    }

    /// Names that may be too long to be shown with a prefix.
    pub(super) fn long_names(&self, kind: ItemKind) -> Vec<String> {
        let names = match kind {
            ItemKind::Tool => &self.tools,
            ItemKind::Prompt => &self.prompts,
            ItemKind::Resource | ItemKind::Template => return Vec::new(),
        };
        let long = |name: &&Arc<str>| name.len() > LONG.min(LONGEST / 2);
        names.iter().filter(long).map(ToString::to_string).collect()
    }

    /// Why a resource may be the server's.
    pub(super) fn claim(&self, uri: &str) -> Option<Claim> {
        if self.resources.contains(uri) {
            return Some(Claim::Listed);
        }
        // A template itself may be asked for, as completion/complete does.
        let fits = |template: &Arc<str>| **template == *uri || matches(template, uri);
        self.templates.iter().any(fits).then_some(Claim::Template)
    }
}

/// Whether a URI may come from a URI template (RFC 6570): its literal parts stand there in order. `{x}` stands for one
/// part of a path at least one character long, every other expression for any characters.
fn matches(template: &str, uri: &str) -> bool {
    let Some((literal, rest)) = template.split_once('{') else {
        return template == uri;
    };
    let Some(uri) = uri.strip_prefix(literal) else {
        return false;
    };
    let Some((expression, rest)) = rest.split_once('}') else {
        return false;
    };
    let simple =
        !expression.starts_with(['+', '#', '.', '/', ';', '?', '&']) && !expression.ends_with('*');
    let ends = uri.char_indices().map(|(at, _)| at).chain([uri.len()]);
    let part = |end: usize| !simple || (end > 0 && !uri[..end].contains('/'));
    ends.take_while(|end| !simple || !uri[..*end].contains('/'))
        .any(|end| part(end) && matches(rest, &uri[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_match_what_they_make() {
        for (template, uri, fits) in [
            ("test://template/{id}/data", "test://template/7/data", true),
            (
                "test://template/{id}/data",
                "test://template/7/8/data",
                false,
            ),
            ("test://template/{id}/data", "test://template//data", false),
            ("file:///{+path}", "file:///a/b/c", true),
            ("x://{a}-{b}", "x://1-2", true),
            ("x://{a}-{b}", "x://12", false),
            ("x://y", "x://y", true),
            ("x://{a", "x://a", false),
        ] {
            assert_eq!(matches(template, uri), fits, "{template} {uri}");
        }
    }
}
