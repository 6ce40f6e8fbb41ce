//! Applies the user's patch to the pod template and protects the fields that the backend relies on.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde::Deserialize as _;
use serde_json::Value;

use crate::runtime::kubernetes::names::{CONTAINER, RESERVED_PREFIXES};
use crate::server::TemplatePatch;

/// Why a patch was rejected.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("it is no list of JSON patch operations: {0}")]
    NoOperations(serde_json::Error),
    #[error("{0}")]
    Operation(json_patch::PatchError),
    #[error("what it makes is no pod template: {0}")]
    NoTemplate(serde_json::Error),
    #[error(
        "it changes `{0}`, which is how the instance is found and spoken to; leave it as it is"
    )]
    Protected(String),
    #[error(
        "the container `{CONTAINER}` is gone from `spec.containers`; a merge patch replaces the whole list, a JSON patch \
         can change `/spec/containers/0`"
    )]
    NoContainer,
}

/// Returns the template with the patch applied.
pub(crate) fn patched(template: &Value, patch: &TemplatePatch) -> Result<Value, Refused> {
    let mut after = template.clone();
    match patch {
        TemplatePatch::Merge(patch) => json_patch::merge(&mut after, patch),
        TemplatePatch::Json(operations) => {
            let operations = json_patch::Patch::deserialize(operations);
            let operations = operations.map_err(Refused::NoOperations)?;
            json_patch::patch(&mut after, &operations).map_err(Refused::Operation)?;
        }
    }
    PodTemplateSpec::deserialize(&after).map_err(Refused::NoTemplate)?;
    protect(template, &after)?;
    Ok(after)
}

/// Rejects a change to a field that the backend relies on.
fn protect(before: &Value, after: &Value) -> Result<(), Refused> {
    let protected = |path: &str| Err(Refused::Protected(path.to_owned()));
    for name in ["name", "generateName", "namespace", "ownerReferences"] {
        if after["metadata"].get(name).is_some() {
            return protected(&format!("metadata.{name}"));
        }
    }
    for kind in ["labels", "annotations"] {
        let (was, is) = (&before["metadata"][kind], &after["metadata"][kind]);
        let names = [was, is].into_iter().filter_map(Value::as_object);
        let ours = |name: &&String| {
            RESERVED_PREFIXES
                .iter()
                .any(|prefix| name.starts_with(prefix))
        };
        for name in names.flat_map(|map| map.keys()).filter(ours) {
            if was.get(name) != is.get(name) {
                return protected(&format!("metadata.{kind}[{name}]"));
            }
        }
    }
    let (was, is) = (container(before), container(after));
    let (Some(was), Some(is)) = (was, is) else {
        return Err(Refused::NoContainer);
    };
    for name in ["stdin", "stdinOnce", "tty"] {
        if was.get(name) != is.get(name) {
            return protected(&format!("spec.containers[{CONTAINER}].{name}"));
        }
    }
    if after["spec"]["restartPolicy"] != before["spec"]["restartPolicy"] {
        return protected("spec.restartPolicy");
    }
    Ok(())
}

fn container(template: &Value) -> Option<&Value> {
    let containers = template["spec"]["containers"].as_array()?;
    containers
        .iter()
        .find(|container| container["name"] == CONTAINER)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template() -> Value {
        json!({
            "metadata": { "labels": { "app.kubernetes.io/instance": "mcp-a-1" } },
            "spec": { "restartPolicy": "Always", "containers": [
                { "name": "server", "image": "a", "stdin": true, "stdinOnce": false, "tty": false },
            ] },
        })
    }

    fn merge(patch: Value) -> Result<Value, Refused> {
        patched(&template(), &TemplatePatch::Merge(patch))
    }

    fn json(operations: Value) -> Result<Value, Refused> {
        patched(&template(), &TemplatePatch::Json(operations))
    }

    #[test]
    fn patch_overrides_rendered_fields() {
        let merged =
            merge(json!({ "spec": { "hostNetwork": true, "dnsPolicy": "None" } })).unwrap();
        assert_eq!(merged["spec"]["hostNetwork"], true);
        let annotated = merge(json!({ "metadata": { "annotations": { "a.example/b": "c" } } }));
        assert_eq!(
            annotated.unwrap()["metadata"]["annotations"]["a.example/b"],
            "c"
        );
        let side = json!({ "name": "side", "image": "b" });
        let added = json(json!([{ "op": "add", "path": "/spec/containers/-", "value": side }]));
        assert_eq!(added.unwrap()["spec"]["containers"][1]["image"], "b");
    }

    #[test]
    fn managed_fields_cannot_be_patched() {
        let said = |refused: Result<Value, Refused>| refused.unwrap_err().to_string();
        let label = "app.kubernetes.io/instance";
        for patch in [
            json!({ "metadata": { "labels": { label: "other" } } }),
            json!({ "metadata": { "labels": null } }),
            json!({ "metadata": { "labels": { "mcp-orchestrator.dev/x": "y" } } }),
            json!({ "metadata": { "annotations": { "mcp-orchestrator.dev/key": "y" } } }),
            json!({ "metadata": { "name": "x" } }),
            json!({ "spec": { "restartPolicy": "Never" } }),
        ] {
            let text = said(merge(patch.clone()));
            assert!(text.starts_with("it changes `"), "{patch}: {text}");
        }
        let list = json!({ "spec": { "containers": [{ "name": "other" }] } });
        assert!(said(merge(list)).contains("merge patch replaces the whole list"));
        let stdin = json(json!([
            { "op": "replace", "path": "/spec/containers/0/stdin", "value": false },
        ]));
        assert!(said(stdin).contains("spec.containers[server].stdin"));
        let nowhere = json(json!([{ "op": "remove", "path": "/spec/nodeName" }]));
        assert!(said(nowhere).contains("/spec/nodeName"));
        assert!(said(json(json!({ "op": "add" }))).contains("no list"));
        let wrong = merge(json!({ "spec": { "hostNetwork": "yes" } }));
        assert!(said(wrong).contains("no pod template"));
    }
}
