//! The hash that shows whether existing objects were written for the current desired state.

use sha2::{Digest as _, Sha256};

use crate::runtime::InstanceKey;
use crate::runtime::kubernetes::options::KubernetesOptions;
use crate::seal::hex;

/// Incremented when the same spec yields different objects, so that existing ones are rewritten when they are woken
/// from zero.
const RENDER_VERSION: &str = "2";

/// Hashes the desired state of the objects. The key contains a keyed hash of the spec; the other parts are not
/// secret.
pub(crate) fn desired_hash(key: &InstanceKey, options: &KubernetesOptions, inside: bool) -> String {
    let mut hash = Sha256::new();
    let labels = options.gateway_labels.iter();
    let labels: Vec<_> = labels
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let gateway = if inside {
        labels.join(",")
    } else {
        "outside".to_owned()
    };
    let namespace = options.gateway_namespace.as_deref().unwrap_or_default();
    for part in [
        key.name(),
        &options.base_image,
        &gateway,
        namespace,
        RENDER_VERSION,
    ] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize()[..8])
}
