//! The product on a real cluster: the gateway as a program, servers as pods, continuous calls, and one fault after the
//! other. `.ci/kubernetes` runs it; the rows that it prints are the source of the table in `docs/kubernetes.md`.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test fails by panicking, its tasks end with its runtime, and what was measured is said"
)]

#[path = "../../../mcp-orchestrator-core/tests/integration/kubernetes/cluster.rs"]
mod cluster;
#[allow(dead_code, reason = "another suite uses more of it")]
#[path = "../../../mcp-orchestrator-core/tests/integration/kubernetes/proxy.rs"]
mod proxy;

/// The same allocator as the gateway's, so that memory measured here is what the gateway would use.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod audit;
mod gateways;
mod inside;
mod load;
mod outages;
mod owners;
mod pods;
mod reload;
mod scale;
mod stage;
mod starts;
mod wake;
