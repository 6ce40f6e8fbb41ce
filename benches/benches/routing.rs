//! A routing decision: it must cost the same however many tools there are.
#![expect(clippy::unwrap_used, reason = "a bench that cannot begin is to fail")]

use std::collections::{HashMap, HashSet};

use divan::{Bencher, black_box};
use mcp_orchestrator_core::auth::Principal;
use mcp_orchestrator_core::credential::CredentialRule;
use mcp_orchestrator_core::id::{Alias, GatewayId, PrincipalId, ServerId};
use mcp_orchestrator_core::router::{
    Claim, GatewaySpec, Item, ItemKind, Known, Router as _, TableRouter, Target, ToolFilter,
    ToolNames, ViewEntry,
};

const TOOLS: [usize; 3] = [10, 1_000, 100_000];

fn main() {
    divan::main();
}

/// What servers list, looked up as the catalog does.
struct Lists(HashMap<ServerId, HashSet<String>>);

impl Known for Lists {
    fn lists(&self, server: &ServerId, _: ItemKind, name: &str) -> bool {
        self.0.get(server).is_some_and(|tools| tools.contains(name))
    }
    fn long_names(&self, _: &ServerId, _: ItemKind) -> Vec<String> {
        Vec::new()
    }
    fn claim(&self, _: &ServerId, _: &Principal, _: &str) -> Option<Claim> {
        None
    }
}

/// A gateway whose servers list `tools` tools together.
fn gateway(names: ToolNames, servers: usize, tools: usize) -> (TableRouter, Lists) {
    let (mut entries, mut lists) = (Vec::new(), HashMap::new());
    for at in 0..servers {
        let server = ServerId::new(format!("server-{at}")).unwrap();
        entries.push(ViewEntry {
            alias: Alias::from(&server),
            server: server.clone(),
            credential: CredentialRule::None,
            tools: ToolFilter::All,
        });
        let own = (0..tools / servers).map(|tool| format!("tool_{at}_{tool}"));
        lists.insert(server, own.collect());
    }
    let spec = GatewaySpec {
        id: GatewayId::default_gateway(),
        names,
        entries,
    };
    (TableRouter::new([spec]), Lists(lists))
}

fn decide(bencher: Bencher<'_, '_>, (router, lists): (TableRouter, Lists), tool: &str) {
    let principal = Principal::user(PrincipalId::new("ann").unwrap(), "bench");
    let gateway = GatewayId::default_gateway();
    bencher.bench_local(|| {
        let target = Target {
            gateway: &gateway,
            item: Item::Tool(black_box(tool)),
            known: &lists,
        };
        let route = router.route(&principal, &target).unwrap();
        route.server.as_str().len()
    });
}

#[divan::bench(args = TOOLS)]
fn prefixed(bencher: Bencher<'_, '_>, tools: usize) {
    decide(
        bencher,
        gateway(ToolNames::Prefixed, 10, tools),
        "server-9__tool_9_0",
    );
}

#[divan::bench(args = TOOLS)]
fn bare_one_server(bencher: Bencher<'_, '_>, tools: usize) {
    decide(bencher, gateway(ToolNames::Bare, 1, tools), "tool_0_0");
}

/// The tool of the last server, which is the slowest to find.
#[divan::bench(args = TOOLS)]
fn bare_ten_servers(bencher: Bencher<'_, '_>, tools: usize) {
    decide(bencher, gateway(ToolNames::Bare, 10, tools), "tool_9_0");
}
