//! Options of the Kubernetes backend that apply to all servers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::seal::StateKey;

/// Options for all instances in the cluster.
///
/// They are not part of an instance's key: a change takes effect when an instance is next started from zero.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KubernetesOptions {
    /// The orchestrator's name, a DNS label. It labels all objects; only objects with this name are watched, adopted
    /// and garbage-collected.
    pub orchestrator: String,
    /// The image for commands that do not specify one.
    pub base_image: String,
    /// Labels of the pods that may reach instances over HTTP: the gateway's. A gateway outside the cluster connects
    /// by port-forward, which NetworkPolicies do not block.
    pub gateway_labels: BTreeMap<String, String>,
    /// The gateway's namespace, if it differs from that of the instances.
    pub gateway_namespace: Option<String>,
    /// The key of the hashes that show whether a Secret holds the current values.
    pub state_key: Arc<StateKey>,
    /// The owner of all objects, if the process already has one. Default: the ConfigMap named like the orchestrator.
    pub owner: Option<crate::kubernetes::Owner>,
    /// How long to wait for the end of a stopped instance beyond its grace period. Default: one minute.
    pub stop_patience: Duration,
}

impl KubernetesOptions {
    /// Creates the default options of an orchestrator with this name.
    pub fn new(orchestrator: impl Into<String>, state_key: Arc<StateKey>) -> Self {
        let labels = [
            ("app.kubernetes.io/name", "mcp-orchestrator"),
            ("app.kubernetes.io/component", "gateway"),
        ];
        Self {
            orchestrator: orchestrator.into(),
            base_image: Self::BASE_IMAGE.to_owned(),
            gateway_labels: labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            gateway_namespace: None,
            state_key,
            owner: None,
            stop_patience: Duration::from_mins(1),
        }
    }

    /// The project's base image, which contains Node.js, uv, Python and Git.
    pub const BASE_IMAGE: &'static str = concat!(
        "ghcr.io/mcp-orchestrator/base:",
        env!("CARGO_PKG_VERSION_MAJOR"),
        ".",
        env!("CARGO_PKG_VERSION_MINOR")
    );
}
