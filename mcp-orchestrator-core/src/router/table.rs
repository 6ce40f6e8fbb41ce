//! The router for configured gateways: tables of servers that are replaced as a whole.

mod visible;

use std::borrow::Cow;
use std::sync::Arc;

use arc_swap::ArcSwap;
use foldhash::HashMap;

use self::visible::{NOBODY_HAS_IT, VisibleItems};
use super::{Item, ItemKind, Members, NoRoute, Route, Router, Target, ToolNames, View, ViewEntry};
use crate::auth::{Principal, PrincipalKind};
use crate::credential::{CredentialRule, Owner};
use crate::id::{GatewayId, PrincipalId};
use crate::server::ServerSpec;

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

impl Router for TableRouter {
    fn route<'a>(&self, principal: &Principal, target: &Target<'a>) -> Result<Route<'a>, NoRoute> {
        let gateways = self.gateways.load();
        let gateway = gateways
            .get(target.gateway)
            .and_then(|gateway| gateway.sight(principal))
            .ok_or_else(|| NoRoute::Gateway(target.gateway.clone()))?;
        let found = match target.item {
            Item::Tool(name) => gateway.named(principal, target, ItemKind::Tool, name),
            Item::Prompt(name) => gateway.named(principal, target, ItemKind::Prompt, name),
            Item::Resource(uri) => gateway
                .resource(principal, target, uri)
                .map_err(Cow::Borrowed),
            Item::Server(alias) => {
                let at = gateway.by_alias.get(alias);
                let found = at.map(|at| (&gateway.view.entries[*at], Cow::Borrowed("")));
                found.ok_or(NOBODY_HAS_IT.into())
            }
        };
        let (entry, own) = found.map_err(|why| NoRoute::to(target, why))?;
        let hints = || target.known.hints(principal, entry, &own);
        if matches!(target.item, Item::Tool(_)) && !entry.tools.shows(&own, hints) {
            let why = "the gateway does not show this tool of the server";
            return Err(NoRoute::to(target, why));
        }
        let change = match target.item {
            Item::Tool(_) => entry.overrides.get(&own).cloned(),
            _ => None,
        };
        Ok(Route {
            server: entry.server.clone(),
            alias: entry.alias.clone(),
            name: own,
            credential: entry.credential.clone(),
            change,
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
