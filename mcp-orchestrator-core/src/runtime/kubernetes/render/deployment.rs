//! The Deployment of an instance. It never rolls over: it holds a single revision, which runs with one replica or
//! none.

use serde_json::{Value, json};

use super::error::Failed;
use super::{Rendering, pod};
use super::{desired_hash, patch};
use crate::runtime::kubernetes::names::{self, INSTANCE, VALUES, WANTED};

/// Renders the Deployment with one replica.
pub(super) fn deployment(of: &Rendering<'_>) -> Result<Value, Failed> {
    let mut metadata = of.metadata(of.key.name());
    let hash = desired_hash::desired_hash(of.key, of.options, of.inside);
    metadata["annotations"][WANTED] = json!(hash);
    metadata["annotations"][VALUES] = json!(of.values_digest());
    let mut template = json!({
        "metadata": { "labels": names::labels(of.key, &of.options.orchestrator) },
        "spec": pod::spec(of)?,
    });
    if let Some(patch) = &of.program.container.template_patch {
        template = patch::patched(&template, patch)?;
    }
    Ok(json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": 1,
            // When the template is restored after a foreign edit, two pods must not run at the same time.
            "strategy": { "type": "Recreate" },
            "revisionHistoryLimit": 0,
            "selector": { "matchLabels": { INSTANCE: of.key.name() } },
            "template": template,
        },
    }))
}
