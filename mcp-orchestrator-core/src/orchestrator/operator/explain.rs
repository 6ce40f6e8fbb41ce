//! Explains a routing decision step by step.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::auth::Principal;
use crate::catalog::ListKey;
use crate::credential::{Credential, CredentialRequest, CredentialRule};
use crate::id::{Alias, GatewayId, ServerId};
use crate::orchestrator::state::context::Context;
use crate::orchestrator::state::{Inner, Orchestrator};
use crate::pool::Spec;
use crate::router::{
    Claim, Item, ItemKind, Known as _, NoRoute, Target, ToolOverride, View, ViewEntry,
};

/// The route that a call would take, and why.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Explanation {
    /// Name and text of each step, in order.
    pub steps: Vec<(String, String)>,
    /// `true` if a call would reach an instance.
    pub routed: bool,
}

impl Orchestrator {
    /// Returns `true` if a gateway shows this principal an item, as far as its lists are cached. Starts no instance.
    pub fn shows(&self, principal: &Principal, gateway: &GatewayId, item: Item<'_>) -> bool {
        let known = &self.inner.catalog;
        let target = Target {
            gateway,
            item,
            known,
        };
        self.inner.router.route(principal, &target).is_ok()
    }

    /// Explains step by step which route a call would take. Starts no instance and reveals no secret.
    pub async fn explain(
        &self,
        principal: &Arc<Principal>,
        gateway: &GatewayId,
        item: Item<'_>,
    ) -> Explanation {
        self.inner.explain(principal, gateway, item).await
    }
}

/// Maximum number of existing names that are listed when a name is not found.
const SHOWN: usize = 20;

/// The steps so far. The last step explains why the decision ended.
#[derive(Default)]
struct Steps(Vec<(String, String)>);

/// The decision ended without a route to an instance.
struct Ended;

impl Steps {
    fn add(&mut self, name: &str, text: impl Into<String>) {
        self.0.push((name.to_owned(), text.into()));
    }

    /// Returns the value, or records the error as the last step.
    fn need<T, E: ToString>(&mut self, name: &str, found: Result<T, E>) -> Result<T, Ended> {
        found.map_err(|why| {
            self.add(name, why.to_string());
            Ended
        })
    }
}

impl Inner {
    async fn explain(
        &self,
        principal: &Arc<Principal>,
        gateway: &GatewayId,
        item: Item<'_>,
    ) -> Explanation {
        let mut steps = Steps::default();
        steps.add(
            "principal",
            format!("{} (by {})", principal.id, principal.method),
        );
        let routed = self
            .decide(&mut steps, principal, gateway, item)
            .await
            .is_ok();
        Explanation {
            steps: steps.0,
            routed,
        }
    }

    async fn decide(
        &self,
        steps: &mut Steps,
        principal: &Arc<Principal>,
        gateway: &GatewayId,
        item: Item<'_>,
    ) -> Result<(), Ended> {
        let view = steps.need("gateway", self.router.view(principal, gateway))?;
        steps.add("gateway", format!("{gateway}: {}", shown(&view)));
        // Lists that are cached only on disk count too.
        self.remember(principal, gateway, &view).await;
        let (server, rule, name) = self.explain_route(steps, principal, gateway, item)?;
        let spec = steps.need("server", self.spec(&server))?;
        let context = Context::nobodys(principal, gateway);
        let credential = self
            .explain_credential(steps, &context, &spec, &rule)
            .await?;
        let listed = self.listed(&ListKey::new(&server, &credential), item, &name);
        steps.need("list", listed)?;
        let scope = context.scope(&spec.server);
        let isolation = format!("{:?}", spec.server.isolation).to_lowercase();
        steps.add("isolation", format!("{isolation}: scope {scope}"));
        let mut running = self.pool.handles().into_iter();
        let running =
            running.find(|handle| *handle.key.server() == server && *handle.key.scope() == scope);
        let running = running.map_or("none runs; a call starts one".to_owned(), |handle| {
            format!("{} runs", handle.key)
        });
        steps.add("instance", running);
        Ok(())
    }

    // Not async, because a future that holds a `Target` is not `Send`: it borrows `dyn Known`.
    fn explain_route(
        &self,
        steps: &mut Steps,
        principal: &Principal,
        gateway: &GatewayId,
        item: Item<'_>,
    ) -> Result<(ServerId, CredentialRule, String), Ended> {
        let target = Target {
            gateway,
            item,
            known: &self.catalog,
        };
        let found = self
            .router
            .route(principal, &target)
            .map_err(|none| match &none {
                NoRoute::Item { why, .. } => {
                    let hint = self.prefixed(principal, gateway, item);
                    let hint = hint.map(|name| format!("; did you mean {name}?"));
                    format!("{none}: {why}{}", hint.unwrap_or_default())
                }
                NoRoute::Gateway(_) => none.to_string(),
            });
        let route = steps.need("route", found)?;
        let text = format!(
            "server {} (as {}), own name {:?}",
            route.server, route.alias, route.name
        );
        steps.add("route", text);
        if let Some(change) = &route.change {
            steps.add("change", changes(change));
        }
        if let Some(reason) = self.reason(principal, gateway, item, &route.alias) {
            steps.add("owner", reason);
        }
        let others = self.others(principal, gateway, item, &route.alias);
        if !others.is_empty() {
            let text = format!(
                "{}; the order of the configuration decides",
                others.join(", ")
            );
            steps.add("others", text);
        }
        let name = route.name.into_owned();
        Ok((route.server, route.credential, name))
    }

    /// Returns why a resource belongs to the server that the call is routed to, if there is more than one.
    fn reason(
        &self,
        principal: &Principal,
        gateway: &GatewayId,
        item: Item<'_>,
        routed: &Alias,
    ) -> Option<String> {
        let Item::Resource(uri) = item else {
            return None;
        };
        let view = self.router.view(principal, gateway).ok()?;
        let entry = view.entries.iter().find(|entry| entry.alias == *routed)?;
        if view.entries.len() == 1 {
            return None;
        }
        let claim = self.catalog.claim(principal, entry, uri)?;
        Some(format!("{routed} {}", reason(claim)))
    }

    /// Returns an error if the cached lists of the server do not contain the item. Prefixed names are routed without
    /// the lists, so the route does not prove that the item exists.
    fn listed(&self, key: &ListKey, item: Item<'_>, name: &str) -> Result<(), String> {
        let (kind, what) = match item {
            Item::Tool(_) => (ItemKind::Tool, "tool"),
            Item::Prompt(_) => (ItemKind::Prompt, "prompt"),
            Item::Resource(_) | Item::Server(_) => return Ok(()),
        };
        let Some(kept) = self.catalog.peek(key) else {
            return Ok(());
        };
        let names: Vec<&str> = kept
            .items(kind)
            .iter()
            .map(|item| item.name.as_str())
            .collect();
        if names.contains(&name) {
            return Ok(());
        }
        let all = if names.is_empty() {
            format!("it lists no {what}s")
        } else {
            let more = if names.len() > SHOWN { ", …" } else { "" };
            let shown = &names[..names.len().min(SHOWN)];
            format!("its {what}s are {}{more}", shown.join(", "))
        };
        Err(format!(
            "server {} does not list {what} {name:?}: {all}",
            key.server()
        ))
    }

    /// Returns the full name of an item if exactly one server lists it under the name without a prefix.
    fn prefixed(
        &self,
        principal: &Principal,
        gateway: &GatewayId,
        item: Item<'_>,
    ) -> Option<String> {
        let view = self.router.view(principal, gateway).ok()?;
        let (kind, name) = match item {
            Item::Tool(name) => (ItemKind::Tool, name),
            Item::Prompt(name) => (ItemKind::Prompt, name),
            Item::Resource(_) | Item::Server(_) => return None,
        };
        let mut listing = view.entries.iter().filter_map(|entry| {
            // Either the server's own name, or the one that the gateway gives the tool.
            let own = match kind {
                ItemKind::Tool => entry.overrides.own(name).unwrap_or(name),
                _ => name,
            };
            let shows = entry.shows(kind, own, || self.catalog.hints(principal, entry, own))
                && self.catalog.lists(principal, entry, kind, own);
            let shown = shows.then(|| entry.shown_as(kind, own, true))??;
            Some(shown.into_owned())
        });
        let (only, further) = (listing.next()?, listing.next());
        (view.prefixed && further.is_none()).then_some(only)
    }

    /// Returns the other servers that offer the item, each with the reason.
    fn others(
        &self,
        principal: &Principal,
        gateway: &GatewayId,
        item: Item<'_>,
        routed: &Alias,
    ) -> Vec<String> {
        let Ok(view) = self.router.view(principal, gateway) else {
            return Vec::new();
        };
        let has = |entry: &ViewEntry| {
            let lists = |kind, name| {
                let name = match kind {
                    ItemKind::Tool => entry.overrides.own(name)?,
                    _ => name,
                };
                let shown = !view.prefixed
                    && entry.shows(kind, name, || self.catalog.hints(principal, entry, name));
                let listed = shown && self.catalog.lists(principal, entry, kind, name);
                listed.then_some("lists it too")
            };
            match item {
                Item::Tool(name) => lists(ItemKind::Tool, name),
                Item::Prompt(name) => lists(ItemKind::Prompt, name),
                Item::Resource(uri) => {
                    let claim = self.catalog.claim(principal, entry, uri)?;
                    (!claim.is_exclusive()).then(|| match claim {
                        Claim::Listed => "lists it too",
                        other => reason(other),
                    })
                }
                Item::Server(_) => None,
            }
        };
        let entries = view.entries.iter().filter(|entry| entry.alias != *routed);
        entries
            .filter_map(|entry| Some(format!("{} {}", entry.alias, has(entry)?)))
            .collect()
    }

    async fn explain_credential(
        &self,
        steps: &mut Steps,
        context: &Context,
        spec: &Spec,
        rule: &CredentialRule,
    ) -> Result<Arc<Credential>, Ended> {
        if !spec.server.slots.is_empty() {
            let request = CredentialRequest {
                principal: &context.principal,
                server: &spec.server,
                rule,
                rejected: None,
                token: None,
            };
            for step in self.resolver.explain(request) {
                steps.add("credential", step);
            }
        }
        let found = self.credential(context, spec, rule, None).await;
        let credential = steps.need("credential", found)?;
        let text = if spec.server.slots.is_empty() {
            "none: the server has no slots".to_owned()
        } else if credential.values.is_empty() && spec.server.is_open() {
            "none: the server takes calls without a token, as far as is known".to_owned()
        } else {
            format!(
                "{} revision {} (rule {rule:?})",
                credential.owner, credential.revision
            )
        };
        steps.add("credential", text);
        Ok(credential)
    }
}

/// Returns why a resource may belong to a server.
const fn reason(claim: Claim) -> &'static str {
    match claim {
        Claim::Listed => "lists it",
        Claim::Defined => "names it in a tool's definition",
        Claim::Carried(_) => "returned it in a result",
        Claim::Template(_) => "has a template that matches it",
        Claim::Scheme => "is the only server that uses its scheme",
        Claim::HasResources => "is the only server that has resources",
    }
}

/// Describes what a gateway changes of a tool.
fn changes(change: &ToolOverride) -> String {
    let mut all = Vec::new();
    if let Some(name) = &change.name {
        all.push(format!("named {name:?}"));
    }
    for (key, text) in [
        ("title", &change.title),
        ("description", &change.description),
    ] {
        if text.is_some() {
            all.push(format!("another {key}"));
        }
    }
    let arguments: Vec<&str> = change.arguments.names().collect();
    if !arguments.is_empty() {
        all.push(format!("hides and sets {}", arguments.join(", ")));
    }
    all.join("; ")
}

fn shown(view: &View) -> String {
    let servers: Vec<_> = view
        .entries
        .iter()
        .map(|entry| entry.alias.as_str())
        .collect();
    let names = if view.prefixed { "prefixed" } else { "bare" };
    format!("{names} names; servers {}", servers.join(", "))
}
