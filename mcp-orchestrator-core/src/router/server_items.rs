//! The content of one server's lists that routing needs: the names of its items, and the resources it may own.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::scheme::own_scheme;
use super::template::{Steps, Template};
use super::{Claim, Hints, ItemKind, names};
use crate::id::Alias;

/// The names that a server lists to one owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    tools: HashSet<Arc<str>>,
    prompts: HashSet<Arc<str>>,
    resources: HashSet<Arc<str>>,
    /// Resources that definitions of tools name.
    defined: HashSet<Arc<str>>,
    /// The schemes of its resources and templates.
    schemes: HashSet<Arc<str>>,
    has_resources: bool,
    /// Most specific first.
    templates: Vec<Template>,
    /// Hints of tools, if they differ from the defaults.
    hints: HashMap<Arc<str>, Hints>,
    /// Kinds of lists that have not arrived yet.
    awaited: Vec<ItemKind>,
}

impl Listed {
    /// Adds items of a kind: names of tools and prompts, URIs of resources and templates. Templates over a limit are
    /// skipped.
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
            ItemKind::Resource => {
                for uri in names {
                    self.has_resources = true;
                    self.note_scheme(&uri);
                    self.resources.insert(uri);
                }
            }
            ItemKind::Template => {
                for template in names.filter_map(Template::new) {
                    self.has_resources = true;
                    self.note_scheme(template.text());
                    self.templates.push(template);
                }
                let order = |one: &Template| (one.specificity(), one.text().to_owned());
                self.templates.sort_by_cached_key(order);
                self.templates.dedup();
            }
        }
        self
    }

    /// Adds resources that definitions of tools name.
    #[must_use]
    pub fn with_defined<S: Into<Arc<str>>>(mut self, uris: impl IntoIterator<Item = S>) -> Self {
        for uri in uris.into_iter().map(Into::into) {
            self.has_resources = true;
            self.note_scheme(&uri);
            self.defined.insert(uri);
        }
        self
    }

    /// Marks the server as one that has resources, even if it lists none.
    #[must_use]
    pub fn with_resources(mut self) -> Self {
        self.has_resources = true;
        self
    }

    /// Marks a scheme as one of the server's resources.
    #[must_use]
    pub fn with_scheme(mut self, scheme: impl Into<Arc<str>>) -> Self {
        self.has_resources = true;
        self.schemes.insert(scheme.into());
        self
    }

    fn note_scheme(&mut self, uri: &str) {
        if let Some(scheme) = own_scheme(uri)
            && !self.schemes.contains(&*scheme)
        {
            self.schemes.insert(scheme.into());
        }
    }

    /// Adds the hints of a tool.
    #[must_use]
    pub fn with_hints(mut self, tool: impl Into<Arc<str>>, hints: Hints) -> Self {
        if hints != Hints::default() {
            self.hints.insert(tool.into(), hints);
        }
        self
    }

    /// Marks the list of this kind as not arrived yet.
    #[must_use]
    pub fn awaiting(mut self, kind: ItemKind) -> Self {
        self.awaited.push(kind);
        self
    }

    /// Returns `true` if the lists of these kinds have arrived.
    pub fn has_all(&self, kinds: &[ItemKind]) -> bool {
        !kinds.iter().any(|kind| self.awaited.contains(kind))
    }

    /// Returns the hints of a tool, or the defaults if it has none.
    pub fn hints(&self, tool: &str) -> Hints {
        self.hints.get(tool).copied().unwrap_or_default()
    }

    /// Returns `true` if an item of this name is listed.
    pub fn has(&self, kind: ItemKind, name: &str) -> bool {
        match self.names(kind) {
            Some(names) => names.contains(name),
            None => self.templates.iter().any(|one| one.text() == name),
        }
    }

    /// Returns the names of a kind, or `None` for templates, which are matched instead of looked up.
    pub(super) fn names(&self, kind: ItemKind) -> Option<&HashSet<Arc<str>>> {
        match kind {
            ItemKind::Tool => Some(&self.tools),
            ItemKind::Prompt => Some(&self.prompts),
            ItemKind::Resource => Some(&self.resources),
            ItemKind::Template => None,
        }
    }

    /// Returns the item's own name for a shown name that was truncated.
    pub(super) fn uncut(&self, kind: ItemKind, alias: &Alias, shown: &str) -> Option<Arc<str>> {
        let named = match kind {
            ItemKind::Tool => &self.tools,
            ItemKind::Prompt => &self.prompts,
            ItemKind::Resource | ItemKind::Template => return None,
        };
        let begins = names::kept_of_cut(alias, shown)?;
        let mut may_be = named.iter().filter(|own| own.starts_with(begins));
        may_be
            .find(|own| names::shown(alias, own, true) == shown)
            .cloned()
    }

    /// Returns why a resource that the server itself names belongs to it. Compares no templates.
    pub(super) fn naming(&self, uri: &str) -> Option<Claim> {
        // A template itself may be requested, for example by `completion/complete`.
        if self.resources.contains(uri) || self.has(ItemKind::Template, uri) {
            return Some(Claim::Listed);
        }
        self.defined.contains(uri).then_some(Claim::Defined)
    }

    /// Returns why a resource may belong to the server, apart from URIs that its results carried.
    pub(super) fn claim(&self, uri: &str) -> Option<Claim> {
        let naming = self.naming(uri);
        if naming.is_some() {
            return naming;
        }
        let mut steps = Steps::new();
        let mut templates = self.templates.iter();
        if let Some(matching) = templates.find(|template| template.matches(uri, &mut steps)) {
            return Some(Claim::Template(matching.specificity()));
        }
        if own_scheme(uri).is_some_and(|scheme| self.schemes.contains(&*scheme)) {
            return Some(Claim::Scheme);
        }
        self.has_resources.then_some(Claim::HasResources)
    }

    /// Returns the templates that match URIs of any scheme.
    pub(super) fn catch_alls(&self) -> impl Iterator<Item = &str> {
        let all = self.templates.iter();
        all.filter(|one| one.is_catch_all()).map(Template::text)
    }
}
