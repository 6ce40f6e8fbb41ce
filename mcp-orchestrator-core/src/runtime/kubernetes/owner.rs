//! The ConfigMap that owns all objects of instances: who deletes it deletes them.
//!
//! The cluster collects what belongs to an owner whose uid is gone, also where another one of the same name stands in its
//! place. So the uid is never taken for granted: it is read again when something of ours has vanished and before an
//! instance is written, and the ConfigMap is made anew where there is none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::Shared;
use super::access::Access;
use super::errors::{Action, is_absent};
use super::facts::DeploymentFacts;
use super::names::{MANAGER, ORCHESTRATOR};
use crate::error::{Error, ErrorKind, Result};

/// How long what was read counts.
const FRESH: Duration = Duration::from_secs(5);

/// The owner of all objects of one orchestrator. Clones share what is known of it.
#[derive(Clone, Debug)]
pub struct Owner(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    access: Access,
    name: String,
    known: Mutex<Known>,
    /// Held by the one who reads it or makes it.
    reading: tokio::sync::Mutex<()>,
    uid: watch::Sender<Option<String>>,
}

#[derive(Debug, Default)]
struct Known {
    reference: Option<Arc<Value>>,
    read: Option<Instant>,
    /// Why there is none.
    trouble: Option<String>,
}

impl Owner {
    /// The owner of this name, of which nothing is known yet.
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
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The reference that all owned objects hold.
    pub(super) async fn reference(&self) -> Result<Arc<Value>> {
        let fresh = || {
            let known = self.known();
            let read = known.read.is_some_and(|read| read.elapsed() < FRESH);
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

    /// The same, as it was read last where it was: for what runs, of which nothing may have to be written.
    pub(super) async fn any(&self) -> Result<Arc<Value>> {
        let known = self.known().reference.clone();
        match known {
            Some(reference) => Ok(reference),
            None => self.reference().await,
        }
    }

    /// Reads it from the cluster now, or makes it.
    pub(super) async fn refresh(&self) -> Result<Arc<Value>> {
        let _turn = self.0.reading.lock().await;
        self.read().await
    }

    async fn read(&self) -> Result<Arc<Value>> {
        let Inner { access, name, .. } = &*self.0;
        let found = find_or_make(access, name).await;
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
                        "the owner of all instances was deleted or replaced: the cluster collects what belonged to it, and instances are written anew"
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
                // An owner that cannot be read now may be there all the same.
                if !matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::TimedOut) {
                    known.trouble = Some(format!(
                        "config map {name}, which owns all instances, is gone and cannot be made: {error}"
                    ));
                }
                Err(error)
            }
        }
    }

    /// Something of ours has vanished: it is read again before the next write.
    pub(super) fn suspect(&self) {
        self.known().read = None;
    }

    /// What was read last.
    pub fn last(&self) -> Option<OwnerReference> {
        let reference = self.known().reference.clone()?;
        serde_json::from_value(Value::clone(&reference)).ok()
    }

    /// The uid that was read last.
    pub(super) fn uid(&self) -> Option<String> {
        self.0.uid.borrow().clone()
    }

    /// The uid, now and each time that it changes.
    pub(super) fn uids(&self) -> watch::Receiver<Option<String>> {
        self.0.uid.subscribe()
    }

    /// Why there is no owner, so that nothing can start.
    pub(super) fn trouble(&self) -> Option<String> {
        self.known().trouble.clone()
    }
}

// === impl Shared ===

impl Shared {
    /// Looks at all instances whenever their owner is another one: what runs is written anew under it, so that it is not
    /// collected with the one before.
    pub(super) fn follow_owner(self: &Arc<Self>) {
        let shared = Arc::clone(self);
        let mut uids = shared.owner.uids();
        self.tasks.spawn(async move {
            loop {
                tokio::select! {
                    changed = uids.changed() => if changed.is_err() { return },
                    () = shared.closing.cancelled() => return,
                }
                shared.look_at_all();
            }
        });
    }

    /// Whether a Deployment belongs to another owner than the one of now.
    pub(super) fn is_anothers(&self, deployment: &DeploymentFacts) -> bool {
        let now = self.owner.uid();
        now.is_some_and(|now| !deployment.owners.contains(&now))
    }
}

/// The reference to the owner, which is made where there is none.
async fn find_or_make(access: &Access, name: &str) -> Result<Value> {
    let namespace = access.namespace();
    let maps: Api<ConfigMap> = Api::namespaced(access.client().clone(), namespace);
    let action = |verb| Action::new(verb, "configmaps", namespace).on(name);
    // Twice: somebody may make it in between.
    for _ in 0..2 {
        match maps.get(name).await {
            // One that is being deleted owns nothing for long.
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
