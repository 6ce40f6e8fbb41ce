//! The way to a real cluster. It runs where `MCP_ORCHESTRATOR_TEST_KUBECONFIG` names a kubeconfig.

#![cfg(feature = "kubernetes")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test says where it fails by where it panics, and that it was left out"
)]

#[path = "kubernetes_reach/access.rs"]
mod access;
#[path = "kubernetes_reach/cluster.rs"]
mod cluster;
