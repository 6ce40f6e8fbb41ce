//! A custom router: a policy that shows a server only to its team. Lists and calls use the same router, so a hidden
//! server cannot be called either and looks as if it did not exist.
//!
//! `cargo run -p mcp-orchestrator-examples --bin custom_router`

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mcp_orchestrator_core::auth::Principal;
use mcp_orchestrator_core::id::{GatewayId, PrincipalId, ServerId, TeamId};
use mcp_orchestrator_core::router::{
    Claim, GatewaySpec, Hints, ItemKind, Known, ListsBy, NoRoute, Route, Router, TableRouter,
    Target, View, ViewEntry,
};
use mcp_orchestrator_core::runtime::ProcessBackend;
use mcp_orchestrator_core::{Orchestrator, Result};
use mcp_orchestrator_examples::{Failure, direct, hello};
use serde_json::json;

/// Names come from a table; the teams decide who sees which server.
#[derive(Debug)]
struct TeamPolicy {
    table: TableRouter,
    /// Servers that only one team may use; all others are open to everyone.
    reserved: HashMap<ServerId, TeamId>,
}

impl TeamPolicy {
    fn allows(&self, principal: &Principal, server: &ServerId) -> bool {
        let team = self.reserved.get(server);
        team.is_none_or(|team| principal.teams.contains(team))
    }
}

impl Router for TeamPolicy {
    fn route<'a>(&self, principal: &Principal, target: &Target<'a>) -> Result<Route<'a>, NoRoute> {
        // A server that the caller does not see must not hide an item of one that it sees.
        let visible = Visible {
            policy: self,
            known: target.known,
        };
        let visible = Target {
            known: &visible,
            ..*target
        };
        let route = self.table.route(principal, &visible)?;
        if self.allows(principal, &route.server) {
            // The name must not borrow from the filtered lists.
            return Ok(Route {
                name: route.name.into_owned().into(),
                server: route.server,
                alias: route.alias,
                credential: route.credential,
                change: route.change,
            });
        }
        // The reason is shown by `explain` only.
        Err(NoRoute::to(target, "the server is another team's"))
    }

    fn view(&self, principal: &Principal, gateway: &GatewayId) -> Result<Arc<View>, NoRoute> {
        let view = self.table.view(principal, gateway)?;
        let entries = view.entries.iter();
        let allowed = entries.filter(|entry| self.allows(principal, &entry.server));
        Ok(Arc::new(View {
            entries: allowed.cloned().collect(),
            prefixed: view.prefixed,
        }))
    }

    fn gateways(&self) -> Vec<GatewayId> {
        self.table.gateways()
    }
}

/// The lists of the servers that a caller sees.
struct Visible<'a> {
    policy: &'a TeamPolicy,
    known: &'a dyn Known,
}

impl Known for Visible<'_> {
    fn holders(
        &self,
        principal: &Principal,
        kind: ItemKind,
        name: &str,
        each: &mut dyn FnMut(&ServerId, &ListsBy<'_>),
    ) {
        self.known
            .holders(principal, kind, name, &mut |server, lists| {
                if self.policy.allows(principal, server) {
                    each(server, lists);
                }
            });
    }

    fn lists(&self, principal: &Principal, entry: &ViewEntry, kind: ItemKind, name: &str) -> bool {
        self.policy.allows(principal, &entry.server)
            && self.known.lists(principal, entry, kind, name)
    }

    fn uncut(
        &self,
        principal: &Principal,
        entry: &ViewEntry,
        kind: ItemKind,
        shown: &str,
    ) -> Option<Arc<str>> {
        self.known.uncut(principal, entry, kind, shown)
    }

    fn hints(&self, principal: &Principal, entry: &ViewEntry, tool: &str) -> Hints {
        self.known.hints(principal, entry, tool)
    }

    fn claim(&self, principal: &Principal, entry: &ViewEntry, uri: &str) -> Option<Claim> {
        let allowed = self.policy.allows(principal, &entry.server);
        allowed.then(|| self.known.claim(principal, entry, uri))?
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "it tells what it does")]
async fn main() -> Result<(), Failure> {
    hello::serve_if_asked();

    let (wiki, payroll) = (hello::server("wiki")?, hello::server("payroll")?);
    let finance = TeamId::new("finance")?;
    let policy = Arc::new(TeamPolicy {
        table: TableRouter::new([GatewaySpec::of_all([&wiki, &payroll])]),
        reserved: HashMap::from([(payroll.id.clone(), finance.clone())]),
    });
    let state = tempfile::tempdir()?;
    let backend = Arc::new(ProcessBackend::new(state.path()));
    let orchestrator = Orchestrator::builder(backend, policy).build();
    orchestrator.apply([wiki, payroll].map(Arc::new));

    let ann = Principal {
        teams: vec![finance],
        ..Principal::user(PrincipalId::new("ann")?, "example")
    };
    let bob = Principal::user(PrincipalId::new("bob")?, "example");
    for caller in [ann, bob].map(Arc::new) {
        let tools = direct::tools(&orchestrator, &caller).await?;
        println!("{} sees {}", caller.id, tools.join(", "));
        let arguments = json!({ "name": caller.id.as_str() });
        match direct::call(&orchestrator, &caller, "payroll__greet", arguments).await {
            Ok(text) => println!("{} calls payroll__greet  -> {text}", caller.id),
            Err(error) => println!("{} calls payroll__greet  -> {error}", caller.id),
        }
    }

    orchestrator.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use mcp_orchestrator_core::credential::{Owner, Revision};
    use mcp_orchestrator_core::router::{Listed, Lists};
    use mcp_orchestrator_core::testing::router::{Probe, known, suite};

    use super::*;

    #[test]
    fn team_policy_keeps_the_router_contract() -> Result<(), Failure> {
        let (wiki, payroll) = (hello::server("wiki")?, hello::server("payroll")?);
        let finance = TeamId::new("finance")?;
        let lists = Lists::default();
        for server in [&wiki, &payroll] {
            let own = format!("{}://1", server.id);
            let listed = Listed::default()
                .with(ItemKind::Tool, ["greet"])
                .with(ItemKind::Resource, [own.as_str(), "shared://1"]);
            lists.put(&server.id, &Owner::Organization, &Revision::none(), listed);
        }
        let policy = TeamPolicy {
            table: TableRouter::new([GatewaySpec::of_all([&payroll, &wiki])]),
            reserved: HashMap::from([(payroll.id, finance.clone())]),
        };
        let ann = Principal {
            teams: vec![finance],
            ..Principal::user(PrincipalId::new("ann")?, "example")
        };
        let bob = Principal::user(PrincipalId::new("bob")?, "example");
        let items = [
            (ItemKind::Tool, "greet"),
            (ItemKind::Resource, "wiki://1"),
            (ItemKind::Resource, "payroll://1"),
            (ItemKind::Resource, "shared://1"),
        ];
        let visible = Visible {
            policy: &policy,
            known: &lists,
        };
        let gateway = GatewayId::default_gateway();
        for caller in [&ann, &bob] {
            let all = policy.table.view(caller, &gateway)?;
            known(&visible, caller, &all.entries, &items);
        }
        suite(
            &policy,
            Probe {
                principals: &[ann, bob],
                gateways: &[gateway],
                items: &items,
                known: &lists,
            },
        );
        Ok(())
    }
}
