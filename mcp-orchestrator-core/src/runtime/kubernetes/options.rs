//! What a backend of pods needs to be told besides the servers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::seal::StateKey;

/// How instances stand in the cluster, for all servers alike.
///
/// What is here changes no instance's key: a change of it is taken up when an instance starts from rest.
#[derive(Clone, Debug)]
pub struct KubernetesOptions {
    /// The orchestrator's name: a DNS label. It stands on all objects; only those with it are seen, joined and swept.
    pub orchestrator: String,
    /// The image in which commands without an image of their own run.
    pub base_image: String,
    /// Labels of the pods that may reach instances over HTTP: the gateway's. Where it runs outside of the cluster it comes
    /// by port-forward, which no policy holds up.
    pub gateway_labels: BTreeMap<String, String>,
    /// The gateway's namespace, where it is not the instances' own.
    pub gateway_namespace: Option<String>,
    /// Keys the hashes that tell whether a Secret holds the values of now.
    pub state_key: Arc<StateKey>,
    /// The owner of all objects, where the process has one already.
    pub owner: Option<super::Owner>,
    /// For the cluster to end what was stopped, beyond its grace.
    pub stop_patience: Duration,
}

impl KubernetesOptions {
    /// Those of an orchestrator of this name.
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

    /// Ours, with node, uv, Python and git.
    pub const BASE_IMAGE: &'static str = concat!(
        "ghcr.io/mcp-orchestrator/base:",
        env!("CARGO_PKG_VERSION_MAJOR"),
        ".",
        env!("CARGO_PKG_VERSION_MINOR")
    );
}
