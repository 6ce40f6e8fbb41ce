//! Stores records as Secrets of a cluster, shared by all processes with the same orchestrator name.
//!
//! Every write states the version that it replaces, so only one of several concurrent writers succeeds; a watch
//! reports every change to all processes. The Secrets have no owner reference: they remain after the orchestrator is
//! uninstalled, until they are deleted by label.

mod known;
mod object;
mod secrets;
mod watch;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::secrets::ClusterSecrets;

use self::known::Known;
use self::object::{Facts, Names, Write, foreign, record};
use super::store::check_size;
use super::{
    CredentialStore, Listed, Precondition, Record, RecordKey, RecordKind, StoreChange, Version,
};
use crate::error::{Error, ErrorKind, Result};
use crate::kubernetes::client::errors::Action;
use crate::kubernetes::client::rejection::{is_absent, is_conflict};
use crate::kubernetes::names::{MANAGER, component_labels};
use crate::kubernetes::{Access, state_key};

/// Maximum number of attempts of a write when other processes write the same record.
const TRIES: usize = 32;
/// Page size of lists.
const PAGE: u32 = 200;
/// How long opening the store waits for the first complete list.
const FIRST_LIST_TIMEOUT: Duration = Duration::from_secs(20);

/// A credential store that keeps each record in a Secret.
pub struct KubernetesCredentials {
    shared: Arc<Shared>,
    _tasks: TaskTracker,
}

#[derive(Debug)]
struct Shared {
    access: Access,
    names: Names,
    known: Known,
    closing: CancellationToken,
}

impl KubernetesCredentials {
    /// Opens the records of this orchestrator. The state key is read, or created if it does not exist. The watch runs
    /// until the store is dropped.
    ///
    /// # Errors
    /// If the API server is unreachable, or if it forbids reading, listing or watching Secrets; the error then names
    /// the missing RBAC rule.
    pub async fn open(access: Access, orchestrator: impl Into<String>) -> Result<Self> {
        let orchestrator = orchestrator.into();
        let labels = component_labels(&orchestrator, "state");
        let key = state_key(&access, &orchestrator, labels).await?;
        let shared = Arc::new(Shared {
            access,
            names: Names { orchestrator, key },
            known: Known::default(),
            closing: CancellationToken::new(),
        });
        shared.page(RecordKind::Claim, None).await?;
        let tasks = TaskTracker::new();
        let (seen, mut synced) = tokio::sync::watch::channel(false);
        tasks.spawn(watch::follow(Arc::clone(&shared), seen));
        tasks.close();
        let store = Self {
            shared,
            _tasks: tasks,
        };
        match tokio::time::timeout(FIRST_LIST_TIMEOUT, synced.wait_for(|synced| *synced)).await {
            Ok(Ok(_)) => Ok(store),
            _ => {
                let text = "the stored credentials cannot be watched: the role needs the verb watch on secrets";
                Err(Error::new(ErrorKind::Unavailable, text))
            }
        }
    }
}

impl Drop for KubernetesCredentials {
    fn drop(&mut self) {
        self.shared.closing.cancel();
    }
}

impl fmt::Debug for KubernetesCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubernetesCredentials")
            .field("access", &self.shared.access)
            .field("orchestrator", &self.shared.names.orchestrator)
            .finish_non_exhaustive()
    }
}

/// The Secret of a record, which may have expired.
#[derive(Debug)]
struct Found {
    secret: Secret,
    facts: Facts,
}

/// Returns the record's version unless it is absent or has expired.
fn version(found: Option<&Found>) -> Option<Version> {
    let facts = &found?.facts;
    (!facts.is_over(SystemTime::now())).then(|| facts.version())
}

impl Shared {
    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.access.client().clone(), self.access.namespace())
    }

    fn action<'a>(&'a self, verb: &'static str, name: &'a str) -> Action<'a> {
        Action::new(verb, "secrets", self.access.namespace()).on(name)
    }

    async fn find(&self, key: &RecordKey) -> Result<Option<Box<Found>>> {
        let name = self.names.of(key);
        let found = self.secrets().get_opt(&name).await;
        let found = found.map_err(|error| self.action("get", &name).error(error))?;
        match found.map(|secret| (Facts::of(&secret), secret)) {
            None => Ok(None),
            Some((Some(facts), secret)) if facts.key == *key => {
                Ok(Some(Box::new(Found { secret, facts })))
            }
            Some(_) => Err(foreign(key, &name)),
        }
    }

    /// Attempts a write. Returns `None` if another process wrote the record in the meantime.
    async fn write(&self, write: &Write<'_>, over: Option<&Found>) -> Result<Option<Version>> {
        let (secrets, name) = (self.secrets(), self.names.of(write.key));
        let (verb, written) = match over {
            None => {
                let (params, new) = (PostParams::default(), write.created(&self.names));
                ("create", secrets.create(&params, &new).await)
            }
            Some(Found { facts, .. }) => {
                let change = Patch::Merge(write.changed(&self.names, &facts.version));
                let params = PatchParams {
                    field_manager: Some(MANAGER.to_owned()),
                    ..PatchParams::default()
                };
                ("patch", secrets.patch(&name, &params, &change).await)
            }
        };
        match written {
            Ok(secret) => {
                let version = secret.metadata.resource_version;
                let none = || foreign(write.key, &name);
                Ok(Some(Version(version.ok_or_else(none)?)))
            }
            Err(error) if is_conflict(&error) || is_absent(&error) => Ok(None),
            Err(error) => Err(self.action(verb, &name).error(error)),
        }
    }

    /// Deletes a Secret if it still has this version. Returns `true` if this call deleted it.
    async fn delete(&self, name: &str, version: &str) -> Result<bool, Refused> {
        let params = DeleteParams::default().preconditions(Preconditions {
            resource_version: Some(version.to_owned()),
            uid: None,
        });
        match self.secrets().delete(name, &params).await {
            Ok(_) => Ok(true),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) if is_conflict(&error) => Err(Refused::Changed),
            Err(error) => Err(Refused::Failed(self.action("delete", name).error(error))),
        }
    }

    async fn page(
        &self,
        kind: RecordKind,
        token: Option<&str>,
    ) -> Result<kube::core::ObjectList<Secret>> {
        let selected = self.names.selector(Some(kind));
        let mut params = ListParams::default().labels(&selected).limit(PAGE);
        if let Some(token) = token {
            params = params.continue_token(token);
        }
        let listed = self.secrets().list(&params).await;
        listed.map_err(|error| self.action("list", "").error(error))
    }

    fn busy(&self, key: &RecordKey) -> Error {
        let text = format!("the stored {key} is written by many at once: try again");
        Error::new(ErrorKind::Conflict, text).with_retry_after(Duration::from_secs(1))
    }
}

/// Why a Secret was not deleted.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("it was changed meanwhile")]
    Changed,
    #[error(transparent)]
    Failed(Error),
}

// === impl CredentialStore ===

#[async_trait]
impl CredentialStore for KubernetesCredentials {
    async fn get(&self, key: &RecordKey) -> Result<Option<(Record, Version)>> {
        let found = self.shared.find(key).await?;
        let (Some(version), Some(found)) = (version(found.as_deref()), &found) else {
            return Ok(None);
        };
        match record(&found.secret) {
            Some((_, record)) => Ok(Some((record, version))),
            None => Err(foreign(key, &self.shared.names.of(key))),
        }
    }

    async fn put(
        &self,
        key: &RecordKey,
        record: Record,
        precondition: Precondition,
    ) -> Result<Version> {
        check_size(key, &record)?;
        let write = Write::new(key, &record);
        for _ in 0..TRIES {
            let found = self.shared.find(key).await?;
            // The client resends a request if the response was lost; the second attempt then finds its own write.
            if let Some(ours) = found.as_ref().filter(|found| write.made(&found.secret)) {
                return Ok(ours.facts.version());
            }
            precondition.check(key, version(found.as_deref()).as_ref())?;
            if let Some(version) = self.shared.write(&write, found.as_deref()).await? {
                return Ok(version);
            }
        }
        Err(self.shared.busy(key))
    }

    async fn delete(&self, key: &RecordKey, precondition: Precondition) -> Result<bool> {
        let name = self.shared.names.of(key);
        for _ in 0..TRIES {
            let found = self.shared.find(key).await?;
            let Some(found) = version(found.as_deref()) else {
                return Ok(false);
            };
            precondition.check(key, Some(&found))?;
            match self.shared.delete(&name, &found.0).await {
                Ok(taken) => return Ok(taken),
                Err(Refused::Changed) => {}
                Err(Refused::Failed(error)) => return Err(error),
            }
        }
        Err(self.shared.busy(key))
    }

    async fn list(&self, kind: RecordKind) -> Result<Vec<Listed>> {
        let (mut listed, mut token) = (Vec::new(), None);
        let now = SystemTime::now();
        loop {
            let page = self.shared.page(kind, token.as_deref()).await?;
            for secret in &page.items {
                let name = secret.metadata.name.as_deref().unwrap_or_default();
                match record(secret) {
                    Some((facts, _)) if self.shared.names.of(&facts.key) != name => {
                        tracing::warn!(
                            secret = name,
                            "a stored record has the name of another one"
                        );
                    }
                    Some((facts, _)) if facts.is_over(now) => {}
                    Some((facts, record)) => {
                        let version = facts.version();
                        listed.push((facts.key, record, version));
                    }
                    None => {
                        tracing::warn!(secret = name, "a stored record cannot be read");
                        // The record exists nevertheless: an empty value makes it broken rather than absent.
                        let facts = Facts::of(secret).filter(|facts| !facts.is_over(now));
                        if let Some(facts) = facts
                            && self.shared.names.of(&facts.key) == name
                        {
                            let version = facts.version();
                            listed.push((facts.key, Record::new(""), version));
                        }
                    }
                }
            }
            token = page.metadata.continue_.filter(|token| !token.is_empty());
            if token.is_none() {
                break;
            }
        }
        listed.sort_unstable_by(|(one, ..), (other, ..)| one.cmp(other));
        Ok(listed)
    }

    fn watch(&self) -> BoxStream<'static, Result<StoreChange>> {
        self.shared.known.changes().watch()
    }
}
