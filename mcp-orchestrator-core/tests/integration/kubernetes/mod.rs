//! Tests against a real cluster, which the kubeconfig in `MCP_ORCHESTRATOR_TEST_KUBECONFIG` selects.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test says where it fails by where it panics"
)]

mod access;
mod attach;
mod backend;
mod cluster;
mod credentials;
mod forward;
mod joined;
mod lease;
mod pods;
#[allow(
    dead_code,
    reason = "the tests of the product in a cluster use more of it"
)]
mod proxy;
mod renewed;
mod secrets;
mod state;
