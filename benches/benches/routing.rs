//! A routing decision: its cost must not depend on the number of tools.
#![expect(clippy::unwrap_used, reason = "a bench that cannot begin is to fail")]

use divan::{AllocProfiler, Bencher, black_box};
use mcp_orchestrator_core::auth::Principal;
use mcp_orchestrator_core::credential::{CredentialRule, Owner, Revision};
use mcp_orchestrator_core::id::{Alias, GatewayId, PrincipalId, ServerId};
use mcp_orchestrator_core::router::{
    GatewaySpec, Item, ItemKind, Listed, Lists, Members, Router as _, TableRouter, Target,
    ToolFilter, ToolNames, ToolOverrides, ViewEntry,
};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

const TOOLS: [usize; 3] = [10, 1_000, 100_000];
const SERVERS: [usize; 3] = [1, 10, 100];

fn main() {
    divan::main();
}

/// Returns a gateway with servers that list `tools` tools in total.
fn gateway(names: ToolNames, servers: usize, tools: usize) -> (TableRouter, Lists) {
    let (mut entries, lists) = (Vec::new(), Lists::default());
    for at in 0..servers {
        let server = ServerId::new(format!("server-{at}")).unwrap();
        entries.push(ViewEntry {
            alias: Alias::from(&server),
            server: server.clone(),
            credential: CredentialRule::None,
            tools: ToolFilter::All,
            overrides: ToolOverrides::default(),
        });
        let own = (0..tools.div_ceil(servers)).map(|tool| format!("tool_{at}_{tool}"));
        let listed = Listed::default().with(ItemKind::Tool, own);
        lists.put(&server, &Owner::Organization, &Revision::none(), listed);
    }
    let spec = GatewaySpec {
        id: GatewayId::default_gateway(),
        members: Members::Everybody,
        names,
        entries,
    };
    (TableRouter::new([spec]), lists)
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

#[divan::bench(args = TOOLS, sample_size = 3200)]
fn prefixed(bencher: Bencher<'_, '_>, tools: usize) {
    decide(
        bencher,
        gateway(ToolNames::Prefixed, 10, tools),
        "server-9__tool_9_0",
    );
}

/// Routes to a tool of the last server. The bench also shows allocations; there must be none.
#[divan::bench(args = TOOLS, consts = SERVERS, sample_size = 3200)]
fn bare<const S: usize>(bencher: Bencher<'_, '_>, tools: usize) {
    let tool = format!("tool_{}_0", S - 1);
    decide(bencher, gateway(ToolNames::Bare, S, tools), &tool);
}

/// Like `bare`, with a separate list per user.
#[divan::bench(args = TOOLS, consts = SERVERS, sample_size = 3200)]
fn bare_by_owner<const S: usize>(bencher: Bencher<'_, '_>, tools: usize) {
    let (_, lists) = gateway(ToolNames::Bare, S, tools);
    let mut entries = Vec::new();
    for at in 0..S {
        let server = ServerId::new(format!("server-{at}")).unwrap();
        for user in ["ann", "bob"] {
            let owner = Owner::User(PrincipalId::new(user).unwrap());
            let own = (0..tools.div_ceil(S)).map(|tool| format!("tool_{at}_{tool}"));
            let listed = Listed::default().with(ItemKind::Tool, own);
            lists.put(&server, &owner, &Revision::new("1"), listed);
        }
        entries.push(ViewEntry {
            alias: Alias::from(&server),
            server,
            credential: CredentialRule::Resolve,
            tools: ToolFilter::All,
            overrides: ToolOverrides::default(),
        });
    }
    let spec = GatewaySpec {
        id: GatewayId::default_gateway(),
        members: Members::Everybody,
        names: ToolNames::Bare,
        entries,
    };
    let tool = format!("tool_{}_0", S - 1);
    decide(bencher, (TableRouter::new([spec]), lists), &tool);
}
