//! The ConfigMap that owns all objects of instances: deleting it deletes them.
//!
//! The garbage collector deletes dependents whose owner's UID no longer exists, even if another object has the
//! owner's name. The UID is therefore never assumed to be valid: it is read again before an instance is written and
//! when one of our objects has vanished. An absent ConfigMap is created again.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Api;
use kube::api::PostParams;
use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::error::{Error, ErrorKind, Result};
use crate::kubernetes::client::access::Access;
use crate::kubernetes::client::errors::Action;
use crate::kubernetes::client::rejection::is_absent;
use crate::kubernetes::names::{MANAGER, ORCHESTRATOR};

/// How long the last read is considered current.
const MAX_AGE: Duration = Duration::from_secs(5);

/// The owner of all objects of one orchestrator. Clones share their state.
#[derive(Clone, Debug)]
pub struct Owner(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    access: Access,
    name: String,
    known: Mutex<Known>,
    /// Held while the ConfigMap is read or created.
    reading: tokio::sync::Mutex<()>,
    uid: watch::Sender<Option<String>>,
}

#[derive(Debug, Default)]
struct Known {
    reference: Option<Arc<Value>>,
    read: Option<Instant>,
    /// Why there is no owner.
    trouble: Option<String>,
}

impl Owner {
    /// Creates a handle for the owner of this name, without reading it.
    pub fn new(access: Access, name: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            access,
            name: name.into(),
            known: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            uid: watch::Sender::default(),
        }))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock()
    }

    /// Returns the owner reference for new objects, read recently.
    pub(crate) async fn reference(&self) -> Result<Arc<Value>> {
        let fresh = || {
            let known = self.known();
            let read = known.read.is_some_and(|read| read.elapsed() < MAX_AGE);
            known.reference.clone().filter(|_| read)
        };
        if let Some(reference) = fresh() {
            return Ok(reference);
        }
        let _turn = self.0.reading.lock().await;
        match fresh() {
            Some(reference) => Ok(reference),
            None => self.read().await,
        }
    }

    /// Returns the last known owner reference, and reads it only if it was never read: for running instances, which
    /// may need no write.
    pub(crate) async fn any(&self) -> Result<Arc<Value>> {
        let known = self.known().reference.clone();
        match known {
            Some(reference) => Ok(reference),
            None => self.reference().await,
        }
    }

    /// Reads the owner from the cluster now, or creates it.
    pub(crate) async fn refresh(&self) -> Result<Arc<Value>> {
        let _turn = self.0.reading.lock().await;
        self.read().await
    }

    async fn read(&self) -> Result<Arc<Value>> {
        let Inner { access, name, .. } = &*self.0;
        let found = find_or_create(access, name).await;
        let mut known = self.known();
        match found {
            Ok(reference) => {
                let uid = reference["uid"].as_str().map(str::to_owned);
                known.trouble = None;
                known.read = Some(Instant::now());
                let before = known.reference.replace(Arc::new(reference));
                let reference = known.reference.clone().unwrap_or_default();
                drop(known);
                let replaced = before.is_some_and(|before| before != reference);
                if replaced {
                    tracing::warn!(
                        configmap = name,
                        "the owner of all instances was deleted or replaced: the cluster garbage-collects its dependents, and instances are written again"
                    );
                }
                self.0.uid.send_if_modified(|last| {
                    let news = *last != uid;
                    *last = uid;
                    news
                });
                Ok(reference)
            }
            Err(error) => {
                // The owner may still exist if the cluster cannot be reached.
                if !matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::TimedOut) {
                    known.trouble = Some(format!(
                        "config map {name}, which owns all instances, is gone and cannot be made: {error}"
                    ));
                }
                Err(error)
            }
        }
    }

    /// Marks the owner as possibly gone, because one of our objects has vanished: it is read again before the next
    /// write.
    pub(crate) fn invalidate(&self) {
        self.known().read = None;
    }

    /// Returns the last known owner reference.
    pub fn last(&self) -> Option<OwnerReference> {
        let reference = self.known().reference.clone()?;
        serde_json::from_value(Value::clone(&reference)).ok()
    }

    /// Returns the last known UID.
    pub(crate) fn uid(&self) -> Option<String> {
        self.0.uid.borrow().clone()
    }

    /// Returns a receiver that reports the UID.
    pub(crate) fn uids(&self) -> watch::Receiver<Option<String>> {
        self.0.uid.subscribe()
    }

    /// Returns why there is no owner, in which case nothing can start.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.known().trouble.clone()
    }
}

/// Returns the reference to the owner, which is created if it does not exist.
async fn find_or_create(access: &Access, name: &str) -> Result<Value> {
    let namespace = access.namespace();
    let maps: Api<ConfigMap> = Api::namespaced(access.client().clone(), namespace);
    let action = |verb| Action::new(verb, "configmaps", namespace).on(name);
    // Twice, because another client may create it in between.
    for _ in 0..2 {
        match maps.get(name).await {
            // An owner that is being deleted would soon take its dependents with it.
            Ok(found) if found.metadata.deletion_timestamp.is_some() => {
                let text = format!("config map {name} is being deleted");
                return Err(Error::new(ErrorKind::Conflict, text));
            }
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
