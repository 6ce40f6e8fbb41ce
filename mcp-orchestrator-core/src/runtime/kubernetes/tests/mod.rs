//! Tests of the backend against an API server in this process.

mod fake_cluster;
mod forbidden_retry;
mod watch_errors;

use std::sync::Arc;

use super::{KubernetesBackend, KubernetesOptions};
use crate::kubernetes::tests::api_server::access;
use crate::runtime::LogBook;
use crate::seal::StateKey;

/// Returns a backend on this API server.
async fn backend(address: &str) -> KubernetesBackend {
    let access = access(address).await;
    let key = Arc::new(StateKey::new([7; 32]));
    let options = KubernetesOptions::new("survival", key);
    KubernetesBackend::new(access, options, LogBook::default(), None)
}
