//! The contract suites of [`Router`] and [`Known`]: lists and calls agree, and what is hidden reads as what does not
//! exist.

use std::borrow::Cow;

use crate::auth::Principal;
use crate::id::{Alias, GatewayId};
use crate::router::{
    Claim, Hints, Item, ItemKind, Known, NoRoute, Route, Router, Target, View, ViewEntry, shown,
};

/// An item name that no server of the suite lists.
const ABSENT: &str = "absent-item";
/// A gateway that the router under test does not have.
const ABSENT_GATEWAY: &str = "absent-gateway";

/// What the suite asks a router about.
///
/// To cover the contract, at least one gateway is hidden from a principal, one server is hidden from a principal of its
/// gateway, one tool is renamed (to the name of another tool that its server lists, or to a new one), and `known` lists
/// every item of `items` for some server.
#[derive(Clone, Copy)]
pub struct Probe<'a> {
    /// Callers with different rights.
    pub principals: &'a [Principal],
    /// The gateways of the router.
    pub gateways: &'a [GatewayId],
    /// Own names of items: tools and prompts by name, resources by URI.
    pub items: &'a [(ItemKind, &'a str)],
    /// What the servers list.
    pub known: &'a dyn Known,
}

impl std::fmt::Debug for Probe<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probe")
            .field("principals", &self.principals)
            .field("gateways", &self.gateways)
            .field("items", &self.items)
            .finish_non_exhaustive()
    }
}

/// Verifies that the lists of servers agree with each other. `entries` are what the principal sees of a gateway, `items`
/// the own names of items: some that a server of `entries` lists, and some that none lists.
///
/// # Panics
/// If `known` violates the contract.
pub fn known(
    known: &dyn Known,
    principal: &Principal,
    entries: &[ViewEntry],
    items: &[(ItemKind, &str)],
) {
    for entry in entries {
        for (kind, name) in items {
            let at = format!("{name} of {}", entry.server);
            let listed = known.lists(principal, entry, *kind, name);
            if matches!(kind, ItemKind::Tool | ItemKind::Prompt | ItemKind::Resource) {
                let mut holds = false;
                known.holders(principal, *kind, name, &mut |server, lists| {
                    holds |= *server == entry.server && lists(&entry.credential);
                });
                assert_eq!(holds, listed, "{at}: `holders` and `lists` agree");
            }
            match kind {
                ItemKind::Tool if !listed => {
                    let hints = known.hints(principal, entry, name);
                    assert_eq!(hints, Hints::default(), "{at}: no tool, no hints");
                }
                ItemKind::Resource => {
                    let claim = known.claim(principal, entry, name);
                    assert_eq!(claim == Some(Claim::Listed), listed, "{at}: {claim:?}");
                }
                _ => {}
            }
            let is_tool = matches!(kind, ItemKind::Tool | ItemKind::Prompt);
            let name_shown = shown(&entry.alias, name, true);
            if is_tool && listed && !name_shown.ends_with(name) {
                let own = known.uncut(principal, entry, *kind, &name_shown);
                assert_eq!(own.as_deref(), Some(*name), "{at}: {name_shown} is traced");
            }
        }
        let unknown = known.uncut(principal, entry, ItemKind::Tool, ABSENT);
        assert_eq!(unknown, None, "an unknown name is not traced");
    }
}

/// Runs every check of the suite.
///
/// # Panics
/// If the router breaks its contract.
pub fn suite(router: &dyn Router, probe: Probe<'_>) {
    let gateways = router.gateways();
    let absent = |gateway: &GatewayId| gateway.as_str() == ABSENT_GATEWAY;
    assert!(gateways.is_sorted() && !gateways.iter().any(absent));
    for principal in probe.principals {
        for gateway in probe.gateways {
            let ask = Ask {
                router,
                probe,
                principal,
                gateway,
            };
            match router.view(principal, gateway) {
                Ok(view) => {
                    let named = router.gateways().contains(gateway);
                    assert!(named, "{}: `gateways` names it", ask.at());
                    ask.repeats_its_decisions(&view);
                    ask.reaches_what_it_shows(&view);
                    ask.hides_own_names_of_renamed_tools(&view);
                    ask.routes_only_into_the_view(&view);
                    ask.hides_servers_completely(&view);
                }
                Err(error) => ask.hides_the_gateway_completely(&error),
            }
        }
    }
}

/// One principal at one gateway.
struct Ask<'a> {
    router: &'a dyn Router,
    probe: Probe<'a>,
    principal: &'a Principal,
    gateway: &'a GatewayId,
}

impl<'a> Ask<'a> {
    fn route(&self, item: Item<'a>) -> Result<Route<'a>, NoRoute> {
        let target = Target {
            gateway: self.gateway,
            item,
            known: self.probe.known,
        };
        self.router.route(self.principal, &target)
    }

    fn at(&self) -> String {
        format!("{} at {}", self.principal.id, self.gateway)
    }

    /// The views of all principals at this gateway.
    fn views(&self) -> impl Iterator<Item = std::sync::Arc<View>> {
        let principals = self.probe.principals.iter();
        principals.filter_map(|other| self.router.view(other, self.gateway).ok())
    }

    fn repeats_its_decisions(&self, view: &View) {
        let again = self.router.view(self.principal, self.gateway);
        assert_eq!(again.as_deref(), Ok(view), "{}", self.at());
        for (kind, name) in self.probe.items {
            let item = item(*kind, name);
            assert_eq!(self.route(item), self.route(item), "{}", self.at());
        }
    }

    fn reaches_what_it_shows(&self, view: &View) {
        for entry in &view.entries {
            let route = expect(&self.at(), self.route(Item::Server(leak(&entry.alias))));
            assert_eq!(route.server, entry.server, "{}", self.at());
            for (kind, own) in self.probe.items {
                if !self.lists(entry, *kind, own) || !self.shows(entry, *kind, own) {
                    continue;
                }
                let name = entry.shown_as(*kind, own, view.prefixed);
                let name = name.expect("an item that is shown has a name");
                // Of servers that show the same bare name or URI, the router chooses one.
                let entries = view.entries.iter();
                let rivals = entries.filter(|other| self.lists_as(other, *kind, &name, view));
                let is_resource = matches!(kind, ItemKind::Resource | ItemKind::Template);
                if (is_resource || !view.prefixed) && rivals.count() > 1 {
                    continue;
                }
                let name = String::leak(name.into_owned());
                let route = expect(&self.at(), self.route(item(*kind, name)));
                let wanted = (&entry.server, &entry.alias, *own, &entry.credential);
                let found = (&route.server, &route.alias, &*route.name, &route.credential);
                assert_eq!(found, wanted, "{}: {name}", self.at());
                let change = match kind {
                    ItemKind::Tool => entry.overrides.get(own),
                    _ => None,
                };
                assert_eq!(route.change.as_ref(), change, "{}: {name}", self.at());
            }
        }
    }

    /// A tool is not reached by a name that the view gives no tool, or another one.
    fn hides_own_names_of_renamed_tools(&self, view: &View) {
        for entry in &view.entries {
            for (kind, own) in self.probe.items {
                let name = shown(&entry.alias, own, view.prefixed);
                if *kind != ItemKind::Tool
                    || entry.shown_as(*kind, own, view.prefixed).as_ref() == Some(&name)
                {
                    continue;
                }
                let name = String::leak(name.into_owned());
                let reaches = self
                    .route(Item::Tool(name))
                    .is_ok_and(|route| (&route.alias, &*route.name) == (&entry.alias, *own));
                assert!(!reaches, "{}: {name} is the tool's own name", self.at());
            }
        }
    }

    fn routes_only_into_the_view(&self, view: &View) {
        let everything = self.views().flat_map(|view| {
            let entries = view.entries.iter();
            entries.map(|entry| entry.alias.clone()).collect::<Vec<_>>()
        });
        let aliases: Vec<Alias> = everything.collect();
        for (kind, own) in self.probe.items {
            let prefixed = aliases.iter().map(|alias| shown(alias, own, true));
            let names = prefixed.map(Cow::into_owned);
            let renamed = view.entries.iter();
            let renamed = renamed.filter_map(|entry| entry.shown_as(*kind, own, view.prefixed));
            let names = names.chain(renamed.map(Cow::into_owned));
            for name in names.chain([(*own).to_owned()]) {
                let Ok(route) = self.route(item(*kind, String::leak(name))) else {
                    continue;
                };
                let entry = view.entries.iter().find(|entry| {
                    entry.server == route.server
                        && entry.alias == route.alias
                        && entry.credential == route.credential
                });
                let entry = entry.unwrap_or_else(|| {
                    panic!(
                        "{}: routed to {}, which the view hides",
                        self.at(),
                        route.server
                    )
                });
                assert!(
                    self.shows(entry, *kind, &route.name),
                    "{}: routed to the hidden {}",
                    self.at(),
                    route.name
                );
            }
        }
    }

    fn hides_servers_completely(&self, view: &View) {
        let visible = |entry: &ViewEntry| view.entries.iter().any(|it| it.alias == entry.alias);
        for other in self.views() {
            for entry in other.entries.iter().filter(|entry| !visible(entry)) {
                for (_, own) in self.probe.items {
                    let name: &str = String::leak(shown(&entry.alias, own, true).into_owned());
                    self.is_as_absent(Item::Tool(name), name, Item::Tool(ABSENT));
                }
                let alias = leak(&entry.alias);
                self.is_as_absent(Item::Server(alias), alias, Item::Server(ABSENT));
            }
        }
    }

    /// The only server of a gateway may get every name, to answer itself that there is no such item.
    fn is_as_absent(&self, hidden: Item<'a>, name: &str, absent: Item<'a>) {
        let outcome = |route: Result<Route<'_>, NoRoute>, name: &str| match route {
            Ok(route) => format!("goes to {}", route.server),
            Err(error) => error.to_string().replace(name, "*"),
        };
        let absent = outcome(self.route(absent), ABSENT);
        let hidden = outcome(self.route(hidden), name);
        assert_eq!(hidden, absent, "{}: {name} is recognizable", self.at());
    }

    fn hides_the_gateway_completely(&self, error: &NoRoute) {
        let absent = GatewayId::new(ABSENT_GATEWAY).expect("a name");
        let elsewhere = self.router.view(self.principal, &absent);
        let elsewhere = elsewhere.expect_err("a gateway that does not exist");
        let same = |error: &NoRoute, name: &str| error.to_string().replace(name, "*");
        let wanted = same(&elsewhere, ABSENT_GATEWAY);
        assert_eq!(same(error, self.gateway.as_str()), wanted, "{}", self.at());
        for (kind, name) in self.probe.items {
            let error = self.route(item(*kind, name)).expect_err("a hidden gateway");
            assert_eq!(same(&error, self.gateway.as_str()), wanted, "{}", self.at());
        }
    }

    fn lists(&self, entry: &ViewEntry, kind: ItemKind, own: &str) -> bool {
        self.probe.known.lists(self.principal, entry, kind, own)
    }

    /// Returns `true` if the server of an entry lists an item that the view shows under this name.
    fn lists_as(&self, entry: &ViewEntry, kind: ItemKind, name: &str, view: &View) -> bool {
        self.probe.items.iter().any(|(other, own)| {
            let shown = entry.shown_as(kind, own, view.prefixed);
            *other == kind && shown.is_some_and(|one| one == name) && self.lists(entry, kind, own)
        })
    }

    fn shows(&self, entry: &ViewEntry, kind: ItemKind, own: &str) -> bool {
        entry.shows(kind, own, || {
            self.probe.known.hints(self.principal, entry, own)
        })
    }
}

fn item(kind: ItemKind, name: &str) -> Item<'_> {
    match kind {
        ItemKind::Tool => Item::Tool(name),
        ItemKind::Prompt => Item::Prompt(name),
        ItemKind::Resource | ItemKind::Template => Item::Resource(name),
    }
}

fn expect<'a>(at: &str, route: Result<Route<'a>, NoRoute>) -> Route<'a> {
    match route {
        Ok(route) => route,
        Err(error) => panic!("{at}: what the view shows is not reached: {error:?}"),
    }
}

/// The few names of a test live as long as it.
fn leak(alias: &Alias) -> &'static str {
    String::leak(alias.to_string())
}
