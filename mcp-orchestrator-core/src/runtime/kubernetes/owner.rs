//! The ConfigMap that owns all objects of instances: who deletes it deletes them.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::access::Access;
use super::errors::{Action, is_absent};
use super::names::{MANAGER, ORCHESTRATOR};
use crate::error::{Error, ErrorKind, Result};

/// The owner, found or made at its first use. A chart makes it before; outside of a cluster we do.
#[derive(Debug, Default)]
pub(super) struct Owner(OnceCell<Value>);

impl Owner {
    /// The reference that all owned objects hold.
    pub(super) async fn reference(&self, access: &Access, name: &str) -> Result<&Value> {
        self.0.get_or_try_init(|| find_or_make(access, name)).await
    }
}

/// The reference to the owner, which is made where there is none.
pub(super) async fn find_or_make(access: &Access, name: &str) -> Result<Value> {
    let namespace = access.namespace();
    let maps: Api<ConfigMap> = Api::namespaced(access.client().clone(), namespace);
    let action = |verb| Action::new(verb, "configmaps", namespace).on(name);
    // Twice: somebody may make it in between.
    for _ in 0..2 {
        match maps.get(name).await {
            Ok(found) => return reference(&found, name),
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(action("get").error(error)),
        }
        let made = maps.create(&PostParams::default(), &owner(name)).await;
        match made {
            Ok(made) => return reference(&made, name),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(action("create").error(error)),
        }
    }
    let message = format!("config map {name} is made and deleted by somebody again and again");
    Err(Error::new(ErrorKind::Conflict, message))
}

fn owner(name: &str) -> ConfigMap {
    let labels = [
        ("app.kubernetes.io/managed-by", MANAGER),
        (ORCHESTRATOR, name),
    ];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name.to_owned());
    map.metadata.labels = Some(labels.into());
    map
}

fn reference(map: &ConfigMap, name: &str) -> Result<Value> {
    let uid = map.metadata.uid.as_ref().ok_or_else(|| {
        let message = format!("config map {name} has no uid");
        Error::new(ErrorKind::Internal, message)
    })?;
    Ok(json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid }))
}
