//! The volumes of a pod: a writable `/tmp` and home directory, the secret files, and the volumes that the server
//! defines.

use k8s_openapi::api::core::v1;
use serde_json::{Value, json};

use super::Rendering;
use super::error::Failed;
use super::typed::checked;
use super::values::{Entry, FILES};
use crate::server::Injection;

/// The home directory of the program.
pub(super) const HOME: &str = "/home/mcp";
/// Names of the volumes that the gateway adds. The prefix keeps them apart from volumes of the server.
const TMP_VOLUME: &str = "mcp-orchestrator-tmp";
const HOME_VOLUME: &str = "mcp-orchestrator-home";
const FILES_VOLUME: &str = "mcp-orchestrator-secrets";

/// Returns the volumes and the volume mounts.
pub(super) fn volumes(of: &Rendering<'_>) -> Result<(Vec<Value>, Vec<Value>), Failed> {
    let container = &*of.program.container;
    let (mut volumes, mut mounts) = (Vec::new(), Vec::new());
    let own = |path: &str| container.volumes.iter().any(|v| v.mount_path == path);
    let home = (!container.security.writable_root).then_some((HOME_VOLUME, HOME));
    for (name, path) in [Some((TMP_VOLUME, "/tmp")), home].into_iter().flatten() {
        if !own(path) {
            volumes.push(json!({ "name": name, "emptyDir": {} }));
            mounts.push(json!({ "name": name, "mountPath": path }));
        }
    }
    let held = &of.launch.credential.values;
    let slots = of
        .launch
        .server
        .slots
        .iter()
        .filter(|slot| held.contains_key(&slot.name));
    let files: Vec<Value> = slots
        .filter_map(|slot| match &slot.inject {
            Injection::File { name, .. } => {
                Some(json!({ "key": Entry::File(name).key(), "path": name }))
            }
            Injection::Env(_) | Injection::Header { .. } => None,
        })
        .collect();
    if !files.is_empty() {
        let secret = json!({ "secretName": of.key.name(), "items": files, "defaultMode": 0o444 });
        volumes.push(json!({ "name": FILES_VOLUME, "secret": secret }));
        mounts.push(json!({ "name": FILES_VOLUME, "mountPath": FILES, "readOnly": true }));
    }
    for volume in &container.volumes {
        let mut source = volume.source.clone();
        if let Value::Object(source) = &mut source {
            source.insert("name".into(), json!(volume.name));
        }
        volumes.push(checked::<v1::Volume>("volumes", "Volume", &source)?);
        mounts.push(json!({
            "name": volume.name,
            "mountPath": volume.mount_path,
            "readOnly": volume.read_only,
        }));
    }
    Ok((volumes, mounts))
}
