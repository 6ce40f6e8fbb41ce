//! A custom router with a policy that shows a server only to one team. Lists and calls use the same router, so a hidden
//! server cannot be called either, and looks as if it did not exist.
//!
//! `cargo run -p mcp-orchestrator-examples --bin custom_router`

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mcp_orchestrator_core::auth::Principal;
use mcp_orchestrator_core::id::{GatewayId, PrincipalId, ServerId, TeamId};
use mcp_orchestrator_core::router::{
    GatewaySpec, NoRoute, Route, Router, TableRouter, Target, View,
};
use mcp_orchestrator_core::runtime::ProcessBackend;
use mcp_orchestrator_core::{Orchestrator, Result};
use mcp_orchestrator_examples::{Failure, direct, hello};
use serde_json::json;

/// Names are resolved by a table; visibility depends on the caller's teams.
#[derive(Debug)]
struct TeamPolicy {
    table: TableRouter,
    /// Servers reserved for one team. All others are visible to everyone.
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
        let route = self.table.route(principal, target)?;
        if self.allows(principal, &route.server) {
            return Ok(route);
        }
        // The reason is shown only by `explain`.
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
