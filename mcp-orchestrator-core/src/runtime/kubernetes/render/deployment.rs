//! The Deployment of an instance. It is never rolled over: what it holds is one revision, which runs once or rests.

use serde_json::{Value, json};

use super::{Failed, Rendering, pod};
use crate::runtime::kubernetes::names::{self, INSTANCE, VALUES, WANTED};
use crate::runtime::kubernetes::patch;

/// The Deployment, running.
pub(super) fn deployment(of: &Rendering<'_>) -> Result<Value, Failed> {
    let mut metadata = of.metadata(of.key.name());
    let wanted = names::wanted(of.key, of.options, of.inside);
    metadata["annotations"][WANTED] = json!(wanted);
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
            // Where the template is put back after an edit, the two pods would be in each other's way.
            "strategy": { "type": "Recreate" },
            "revisionHistoryLimit": 0,
            "selector": { "matchLabels": { INSTANCE: of.key.name() } },
            "template": template,
        },
    }))
}
