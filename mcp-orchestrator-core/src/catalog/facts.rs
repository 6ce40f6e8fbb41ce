//! What routing asks of a server's lists, over all its owners.

use std::collections::HashSet;

use super::Kept;
use crate::router::{Claim, ItemKind};

/// Own names that, with the shortest prefix, may not fit.
const LONG: usize = 40;

/// Names and templates of one server.
#[derive(Debug, Default)]
pub(crate) struct ServerFacts {
    tools: HashSet<String>,
    prompts: HashSet<String>,
    resources: HashSet<String>,
    templates: Vec<String>,
    annotates: bool,
}

impl ServerFacts {
    pub(crate) fn of<'a>(lists: impl Iterator<Item = &'a Kept>) -> Self {
        let mut facts = Self::default();
        for kept in lists {
            let names = |kind| kept.items(kind).iter().map(|item| item.name.clone());
            facts.tools.extend(names(ItemKind::Tool));
            facts.prompts.extend(names(ItemKind::Prompt));
            facts.resources.extend(names(ItemKind::Resource));
            facts.templates.extend(names(ItemKind::Template));
            facts.annotates |= kept
                .items(ItemKind::Tool)
                .iter()
                .any(|tool| !tool.params.is_empty());
        }
        facts.templates.sort();
        facts.templates.dedup();
        facts
    }

    /// Whether any tool wants arguments repeated in headers.
    pub(super) fn annotates(&self) -> bool {
        self.annotates
    }

    pub(super) fn lists(&self, kind: ItemKind, name: &str) -> bool {
        match kind {
            ItemKind::Tool => self.tools.contains(name),
            ItemKind::Prompt => self.prompts.contains(name),
            ItemKind::Resource => self.resources.contains(name),
            ItemKind::Template => self.templates.iter().any(|template| template == name),
        }
    }

    pub(super) fn long_names(&self, kind: ItemKind) -> Vec<String> {
        let names = match kind {
            ItemKind::Tool => &self.tools,
            ItemKind::Prompt => &self.prompts,
            ItemKind::Resource | ItemKind::Template => return Vec::new(),
        };
        names
            .iter()
            .filter(|name| name.len() > LONG.min(crate::router::LONGEST / 2))
            .cloned()
            .collect()
    }

    pub(super) fn claim(&self, uri: &str) -> Option<Claim> {
        if self.resources.contains(uri) {
            return Some(Claim::Listed);
        }
        // A template itself may be asked for, as completion/complete does.
        let fits = |template: &String| template == uri || matches(template, uri);
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
