//! The router for configured gateways: tables of servers that are replaced as a whole.

use std::borrow::Cow;
use std::sync::Arc;

use arc_swap::ArcSwap;
use foldhash::HashMap;

use super::shared_address::own_address;
use super::{
    Claim, Item, ItemKind, ListsBy, Members, NoRoute, Route, Router, Target, ToolNames, View,
    ViewEntry, may_be_cut, split,
};
use crate::auth::{Principal, PrincipalKind};
use crate::credential::{CredentialRule, Owner};
use crate::id::{Alias, GatewayId, PrincipalId, ServerId};
use crate::server::ServerSpec;

/// Why a name has no route, for `explain`.
const NOBODY_HAS_IT: &str = "no server of the gateway has it";

/// A configured gateway.
#[derive(Clone, Debug)]
pub struct GatewaySpec {
    /// Its name.
    pub id: GatewayId,
    /// The principals that may use it; to all others it does not exist.
    pub members: Members,
    /// How it names tools and prompts.
    pub names: ToolNames,
    /// Its servers, in order.
    pub entries: Vec<ViewEntry>,
}

impl GatewaySpec {
    /// Returns the gateway at `/mcp`, showing these servers under their own names.
    pub fn of_all<'a>(servers: impl IntoIterator<Item = &'a ServerSpec>) -> Self {
        Self {
            id: GatewayId::default_gateway(),
            members: Members::Everybody,
            names: ToolNames::default(),
            entries: servers.into_iter().map(ViewEntry::of).collect(),
        }
    }
}

/// Routes by tables that are replaced as a whole.
#[derive(Debug, Default)]
pub struct TableRouter {
    gateways: ArcSwap<HashMap<GatewayId, Gateway>>,
}

#[derive(Debug)]
struct Gateway {
    members: Members,
    /// The view of all principals without a pinned entry.
    common: VisibleItems,
    /// The views of users with a pinned entry, by user.
    own: HashMap<PrincipalId, VisibleItems>,
}

/// What a principal sees, indexed by name.
#[derive(Debug)]
struct VisibleItems {
    view: Arc<View>,
    by_alias: HashMap<Alias, usize>,
    /// A server may have several entries.
    by_server: HashMap<ServerId, Vec<usize>>,
}

impl TableRouter {
    /// Creates a router for these gateways.
    pub fn new(gateways: impl IntoIterator<Item = GatewaySpec>) -> Self {
        let router = Self::default();
        router.replace(gateways);
        router
    }

    /// Replaces all gateways.
    pub fn replace(&self, gateways: impl IntoIterator<Item = GatewaySpec>) {
        let gateways = gateways
            .into_iter()
            .map(|spec| (spec.id.clone(), Gateway::new(spec)));
        self.gateways.store(Arc::new(gateways.collect()));
    }

    /// Returns whether names are prefixed in a gateway, or `None` if there is no such gateway.
    pub fn is_prefixed(&self, gateway: &GatewayId) -> Option<bool> {
        let gateways = self.gateways.load();
        Some(gateways.get(gateway)?.common.view.prefixed)
    }
}

impl Gateway {
    fn new(spec: GatewaySpec) -> Self {
        let prefixed = match spec.names {
            ToolNames::Auto => spec.entries.len() != 1,
            ToolNames::Bare => false,
            ToolNames::Prefixed => true,
        };
        let members = spec.members;
        let entries = spec.entries.into_iter().filter_map(|mut entry| {
            match &entry.credential {
                // A team's credential serves only gateways of that team, regardless of who pinned it.
                CredentialRule::Pinned(owner) if !members.may_pin(owner) => return None,
                CredentialRule::Resolve if !members.teams().is_empty() => {
                    entry.credential = CredentialRule::ResolveAmong(members.teams().into());
                }
                _ => {}
            }
            Some(entry)
        });
        let entries: Vec<ViewEntry> = entries.collect();
        let sight = |user: Option<&PrincipalId>| {
            let serves = |entry: &&ViewEntry| match &entry.credential {
                CredentialRule::Pinned(Owner::User(owner)) => Some(owner) == user,
                _ => true,
            };
            VisibleItems::new(entries.iter().filter(serves).cloned().collect(), prefixed)
        };
        let users = entries.iter().filter_map(|entry| match &entry.credential {
            CredentialRule::Pinned(Owner::User(user)) => Some(user),
            _ => None,
        });
        Self {
            common: sight(None),
            own: users
                .map(|user| (user.clone(), sight(Some(user))))
                .collect(),
            members,
        }
    }

    /// Returns what the principal sees, or `None` if the gateway does not exist for it.
    fn sight(&self, principal: &Principal) -> Option<&VisibleItems> {
        if !self.members.has(principal) {
            return None;
        }
        let own = match principal.kind {
            PrincipalKind::User if !self.own.is_empty() => self.own.get(&principal.id),
            _ => None,
        };
        Some(own.unwrap_or(&self.common))
    }
}

impl VisibleItems {
    fn new(entries: Vec<ViewEntry>, prefixed: bool) -> Self {
        let aliases = entries.iter().enumerate();
        let by_alias = aliases
            .map(|(at, entry)| (entry.alias.clone(), at))
            .collect();
        let mut by_server: HashMap<ServerId, Vec<usize>> = HashMap::default();
        for (at, entry) in entries.iter().enumerate() {
            by_server.entry(entry.server.clone()).or_default().push(at);
        }
        Self {
            view: Arc::new(View { entries, prefixed }),
            by_alias,
            by_server,
        }
    }

    fn named<'a>(
        &self,
        principal: &Principal,
        target: &Target<'_>,
        kind: ItemKind,
        name: &'a str,
    ) -> Option<(&ViewEntry, Cow<'a, str>)> {
        let entries = &self.view.entries;
        if self.view.prefixed {
            let (alias, own) = split(name)?;
            let entry = &entries[*self.by_alias.get(alias)?];
            if !may_be_cut(name) || target.known.lists(principal, entry, kind, own) {
                return Some((entry, Cow::Borrowed(own)));
            }
            let uncut = target.known.uncut(principal, entry, kind, name);
            let own = uncut.map_or(Cow::Borrowed(own), |uncut| Cow::Owned(uncut.to_string()));
            return Some((entry, own));
        }
        let entry = match &entries[..] {
            [only] => only,
            _ => &entries[self.bare(principal, target, kind, name)?],
        };
        Some((entry, Cow::Borrowed(name)))
    }

    /// Returns the first server of the gateway that lists a bare name and shows it, or else the first that lists it.
    fn bare(
        &self,
        principal: &Principal,
        target: &Target<'_>,
        kind: ItemKind,
        name: &str,
    ) -> Option<usize> {
        let (mut shown, mut hidden): (Option<usize>, Option<usize>) = (None, None);
        let mut holder = |server: &ServerId, lists: &ListsBy<'_>| {
            for at in self.by_server.get(server).into_iter().flatten() {
                let entry = &self.view.entries[*at];
                let hints = || target.known.hints(principal, entry, name);
                let best = if entry.shows(kind, name, hints) {
                    &mut shown
                } else {
                    &mut hidden
                };
                if best.is_none_or(|best| *at < best) && lists(&entry.credential) {
                    *best = Some(*at);
                }
            }
        };
        target.known.holders(principal, kind, name, &mut holder);
        shown.or(hidden)
    }

    fn resource<'a>(
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

impl Router for TableRouter {
    fn route<'a>(&self, principal: &Principal, target: &Target<'a>) -> Result<Route<'a>, NoRoute> {
        let gateways = self.gateways.load();
        let gateway = gateways
            .get(target.gateway)
            .and_then(|gateway| gateway.sight(principal))
            .ok_or_else(|| NoRoute::Gateway(target.gateway.clone()))?;
        let mut why = NOBODY_HAS_IT;
        let found = match target.item {
            Item::Tool(name) => gateway.named(principal, target, ItemKind::Tool, name),
            Item::Prompt(name) => gateway.named(principal, target, ItemKind::Prompt, name),
            Item::Resource(uri) => {
                let entry = gateway.resource(principal, target, uri);
                entry.inspect_err(|disputed| why = disputed).ok()
            }
            Item::Server(alias) => {
                let at = gateway.by_alias.get(alias);
                at.map(|at| (&gateway.view.entries[*at], Cow::Borrowed("")))
            }
        };
        let (entry, own) = found.ok_or_else(|| NoRoute::to(target, why))?;
        let hints = || target.known.hints(principal, entry, &own);
        if matches!(target.item, Item::Tool(_)) && !entry.tools.shows(&own, hints) {
            let why = "the gateway does not show this tool of the server";
            return Err(NoRoute::to(target, why));
        }
        Ok(Route {
            server: entry.server.clone(),
            alias: entry.alias.clone(),
            name: own,
            credential: entry.credential.clone(),
        })
    }

    fn view(&self, principal: &Principal, gateway: &GatewayId) -> Result<Arc<View>, NoRoute> {
        let gateways = self.gateways.load();
        let sight = gateways
            .get(gateway)
            .and_then(|gateway| gateway.sight(principal))
            .ok_or_else(|| NoRoute::Gateway(gateway.clone()))?;
        Ok(Arc::clone(&sight.view))
    }

    fn gateways(&self) -> Vec<GatewayId> {
        let mut ids: Vec<_> = self.gateways.load().keys().cloned().collect();
        ids.sort();
        ids
    }
}

#[cfg(test)]
mod tests;
