//! What one principal sees of a gateway, and the server that a name refers to in it.

use std::borrow::Cow;
use std::sync::Arc;

use foldhash::HashMap;

use crate::auth::Principal;
use crate::id::{Alias, ServerId};
use crate::router::shared_address::own_address;
use crate::router::{Claim, ItemKind, ListsBy, Target, View, ViewEntry, may_be_cut, shown, split};

/// Why a name has no route, for `explain`.
pub(super) const NOBODY_HAS_IT: &str = "no server of the gateway has it";

/// What a principal sees, indexed by name.
#[derive(Debug)]
pub(super) struct VisibleItems {
    pub(super) view: Arc<View>,
    pub(super) by_alias: HashMap<Alias, usize>,
    /// A server may have several entries.
    by_server: HashMap<ServerId, Vec<usize>>,
    /// Renamed tools by the names that callers see: the entry, and the tool's own name. Usually empty.
    renamed: HashMap<String, Vec<(usize, String)>>,
}

/// Why a name has no route, for `explain`.
pub(super) type Why = Cow<'static, str>;

impl VisibleItems {
    pub(super) fn new(entries: Vec<ViewEntry>, prefixed: bool) -> Self {
        let aliases = entries.iter().enumerate();
        let by_alias = aliases
            .map(|(at, entry)| (entry.alias.clone(), at))
            .collect();
        let mut by_server: HashMap<ServerId, Vec<usize>> = HashMap::default();
        for (at, entry) in entries.iter().enumerate() {
            by_server.entry(entry.server.clone()).or_default().push(at);
        }
        let mut renamed: HashMap<String, Vec<(usize, String)>> = HashMap::default();
        for (at, entry) in entries.iter().enumerate() {
            for (new, own) in entry.overrides.renamed() {
                let name = shown(&entry.alias, new, prefixed).into_owned();
                renamed.entry(name).or_default().push((at, own.to_owned()));
            }
        }
        Self {
            view: Arc::new(View { entries, prefixed }),
            by_alias,
            by_server,
            renamed,
        }
    }

    pub(super) fn named<'a>(
        &self,
        principal: &Principal,
        target: &Target<'_>,
        kind: ItemKind,
        name: &'a str,
    ) -> Result<(&ViewEntry, Cow<'a, str>), Why> {
        let entries = &self.view.entries;
        if !self.view.prefixed && entries.len() != 1 {
            return self.bare(principal, target, kind, name);
        }
        if kind == ItemKind::Tool
            && let Some([(at, own), ..]) = self.renamed.get(name).map(Vec::as_slice)
        {
            return Ok((&entries[*at], Cow::Owned(own.clone())));
        }
        let (entry, own) = match &entries[..] {
            [only] if !self.view.prefixed => (only, Cow::Borrowed(name)),
            _ => self
                .prefixed(principal, target, kind, name)
                .ok_or(NOBODY_HAS_IT)?,
        };
        if kind == ItemKind::Tool && entry.overrides.shown(&own) != Some(&own) {
            return Err(renamed_to(entry, &own));
        }
        Ok((entry, own))
    }

    /// Splits a prefixed name into the server and the item's own name, which is looked up if it may be truncated.
    fn prefixed<'a>(
        &self,
        principal: &Principal,
        target: &Target<'_>,
        kind: ItemKind,
        name: &'a str,
    ) -> Option<(&ViewEntry, Cow<'a, str>)> {
        let (alias, own) = split(name)?;
        let entry = &self.view.entries[*self.by_alias.get(alias)?];
        if !may_be_cut(name) || target.known.lists(principal, entry, kind, own) {
            return Some((entry, Cow::Borrowed(own)));
        }
        let uncut = target.known.uncut(principal, entry, kind, name);
        let own = uncut.map_or(Cow::Borrowed(own), |uncut| Cow::Owned(uncut.to_string()));
        Some((entry, own))
    }

    /// Returns the first server of the gateway that lists a bare name and shows it, or else the first that lists it,
    /// with the item's own name.
    fn bare<'a>(
        &self,
        principal: &Principal,
        target: &Target<'_>,
        kind: ItemKind,
        name: &'a str,
    ) -> Result<(&ViewEntry, Cow<'a, str>), Why> {
        let entries = &self.view.entries;
        let known = target.known;
        let mut first = First::default();
        let mut other_name = None;
        let mut holder = |server: &ServerId, lists: &ListsBy<'_>| {
            for at in self.by_server.get(server).into_iter().flatten() {
                let entry = &entries[*at];
                if kind == ItemKind::Tool && entry.overrides.shown(name) != Some(name) {
                    other_name = other_name.or_else(|| lists(&entry.credential).then_some(entry));
                    continue;
                }
                let is_shown = entry.shows(kind, name, || known.hints(principal, entry, name));
                first.offer((*at, None), is_shown, || lists(&entry.credential));
            }
        };
        known.holders(principal, kind, name, &mut holder);
        let renamed = (kind == ItemKind::Tool).then(|| self.renamed.get(name));
        for (at, own) in renamed.flatten().into_iter().flatten() {
            let entry = &entries[*at];
            let is_shown = entry.shows(kind, own, || known.hints(principal, entry, own));
            let lists = || known.lists(principal, entry, kind, own);
            first.offer((*at, Some(own)), is_shown, lists);
        }
        match (first.shown.or(first.hidden), other_name) {
            (Some((at, own)), _) => {
                let own = own.map_or(Cow::Borrowed(name), |own| Cow::Owned(own.clone()));
                Ok((&entries[at], own))
            }
            (None, Some(entry)) => Err(renamed_to(entry, name)),
            (None, None) => Err(NOBODY_HAS_IT.into()),
        }
    }

    pub(super) fn resource<'a>(
        &self,
        principal: &Principal,
        target: &Target<'_>,
        uri: &'a str,
    ) -> Result<(&ViewEntry, Cow<'a, str>), &'static str> {
        let found = self.best(principal, target, uri);
        if !matches!(found, Ok((Some(Claim::Listed | Claim::Defined), _)))
            && let Some(shared) = self.shared(principal, target, uri)
        {
            return Ok(shared);
        }
        found.map(|(_, entry)| (entry, Cow::Borrowed(uri)))
    }

    /// Restores the address of a user interface or a skill that several servers use.
    fn shared<'a>(
        &self,
        principal: &Principal,
        target: &Target<'_>,
        uri: &str,
    ) -> Option<(&ViewEntry, Cow<'a, str>)> {
        let (alias, own) = own_address(uri)?;
        let entry = &self.view.entries[*self.by_alias.get(alias)?];
        let claim = target.known.claim(principal, entry, &own)?;
        (!claim.is_exclusive()).then_some((entry, Cow::Owned(own)))
    }

    /// Returns the server with the best claim to a resource. The only server of a gateway needs none.
    fn best(
        &self,
        principal: &Principal,
        target: &Target<'_>,
        uri: &str,
    ) -> Result<(Option<Claim>, &ViewEntry), &'static str> {
        if let [only] = &self.view.entries[..] {
            return Ok((None, only));
        }
        let mut best: Option<(Claim, &ViewEntry)> = None;
        let mut is_disputed = false;
        for entry in &self.view.entries {
            let Some(claim) = target.known.claim(principal, entry, uri) else {
                continue;
            };
            match best {
                Some((other, _)) if claim > other => {}
                Some((other, first)) if claim == other => {
                    is_disputed |= claim.is_exclusive() && first.server != entry.server;
                }
                _ => {
                    best = Some((claim, entry));
                    is_disputed = false;
                }
            }
        }
        match best {
            None => Err(NOBODY_HAS_IT),
            Some((Claim::Scheme, _)) if is_disputed => {
                Err("several servers of the gateway use its scheme, and none lists it")
            }
            Some(_) if is_disputed => {
                Err("several servers of the gateway have resources, and none lists it")
            }
            Some((claim, entry)) => Ok((Some(claim), entry)),
        }
    }
}

/// The first entry that shows an item, and the first that has it but does not show it.
#[derive(Default)]
struct First<'a> {
    shown: Option<Candidate<'a>>,
    hidden: Option<Candidate<'a>>,
}

/// The place of an entry, and the tool's own name if it was renamed.
type Candidate<'a> = (usize, Option<&'a String>);

impl<'a> First<'a> {
    /// Takes a candidate that comes before the present one and lists the item.
    fn offer(&mut self, candidate: Candidate<'a>, is_shown: bool, lists: impl FnOnce() -> bool) {
        let best = if is_shown {
            &mut self.shown
        } else {
            &mut self.hidden
        };
        if best.is_none_or(|(best, _)| candidate.0 < best) && lists() {
            *best = Some(candidate);
        }
    }
}

/// Returns why the own name of a tool is unknown in a gateway that shows the tool under another name.
fn renamed_to(entry: &ViewEntry, own: &str) -> Why {
    let alias = &entry.alias;
    let why = match entry.overrides.shown(own) {
        Some(name) => format!("tool {own:?} of {alias} is called {name:?} on this gateway"),
        None => format!("another tool of {alias} is called {own:?} on this gateway"),
    };
    why.into()
}
