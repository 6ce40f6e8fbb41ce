//! Tests against a real cluster, which the kubeconfig in `MCP_ORCHESTRATOR_TEST_KUBECONFIG` selects.

#![cfg(all(feature = "kubernetes", feature = "test-util"))]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test says where it fails by where it panics"
)]

#[path = "kubernetes_reach/access.rs"]
mod access;
#[path = "kubernetes_reach/attach.rs"]
mod attach;
#[path = "kubernetes_reach/cluster.rs"]
mod cluster;
#[path = "kubernetes_reach/credentials.rs"]
mod credentials;
#[path = "kubernetes_reach/forward.rs"]
mod forward;
#[path = "kubernetes_reach/joined.rs"]
mod joined;
#[path = "kubernetes_reach/lease.rs"]
mod lease;
#[path = "kubernetes_reach/pods.rs"]
mod pods;
#[allow(dead_code, reason = "another suite uses more of it")]
#[path = "kubernetes_reach/proxy.rs"]
mod proxy;
#[path = "kubernetes_reach/renewed.rs"]
mod renewed;
#[path = "kubernetes_reach/secrets.rs"]
mod secrets;
#[path = "kubernetes_reach/state.rs"]
mod state;
