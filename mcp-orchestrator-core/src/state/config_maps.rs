//! Stores state in a cluster: one ConfigMap per document.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::ObjectMeta;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::StateStore;
use crate::error::{Error, ErrorKind, Result};
use crate::kubernetes::client::errors::Action;
use crate::kubernetes::names::component_labels;
use crate::kubernetes::{Access, Membership, Owner};
use crate::seal::hex;

/// Maximum size of a document in bytes: the limit of a ConfigMap, less its metadata.
const MAX_DOCUMENT_LEN: usize = 1_000_000;
/// The key of the document in its ConfigMap.
const ENTRY: &str = "document";
/// Annotation with the document's name.
const DOCUMENT: &str = "mcp-orchestrator.dev/document";
/// Label with the orchestrator's name, which selects its documents.
const KEPT_BY: &str = "mcp-orchestrator.dev/kept-by";
const MANAGER: &str = "mcp-orchestrator-state";

/// A state store that keeps each document in a ConfigMap.
pub struct ConfigMapState {
    access: Access,
    orchestrator: String,
    labels: BTreeMap<String, String>,
    owner: Option<Owner>,
    acts: Option<watch::Receiver<bool>>,
}

impl ConfigMapState {
    /// Creates a store for this orchestrator. Its ConfigMaps carry `labels` and one label of the store.
    pub fn new(
        access: Access,
        orchestrator: impl Into<String>,
        mut labels: BTreeMap<String, String>,
    ) -> Self {
        let orchestrator = orchestrator.into();
        labels.insert(KEPT_BY.to_owned(), orchestrator.clone());
        Self {
            access,
            orchestrator,
            labels,
            owner: None,
            acts: None,
        }
    }

    /// Creates the store of an orchestrator in its cluster. Only the holder of the Lease may write, and the documents are
    /// deleted together with the orchestrator.
    pub fn of(membership: &Membership) -> Self {
        let labels = component_labels(membership.name(), "state");
        Self::new(membership.access().clone(), membership.name(), labels)
            .while_acting(membership.acts())
            .owned_by(membership.owner().clone())
    }

    /// Sets the owner of the ConfigMaps, which are garbage-collected with it. Each write refers to the owner as last
    /// read.
    #[must_use]
    pub fn owned_by(mut self, owner: Owner) -> Self {
        self.owner = Some(owner);
        self
    }

    /// Rejects writes while `acts` is false: another process holds the orchestrator's Lease, or the Lease cannot be
    /// renewed.
    #[must_use]
    pub fn while_acting(mut self, acts: watch::Receiver<bool>) -> Self {
        self.acts = Some(acts);
        self
    }

    fn maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.access.client().clone(), self.access.namespace())
    }

    fn action<'a>(&'a self, verb: &'static str, name: &'a str) -> Action<'a> {
        Action::new(verb, "configmaps", self.access.namespace()).on(name)
    }

    /// Maps a document name to a valid object name.
    fn object(&self, name: &str) -> String {
        let digest = Sha256::digest(name);
        format!("{}-kept-{}", self.orchestrator, hex(&digest[..16]))
    }

    /// Returns a ConfigMap without a document.
    fn map(&self, object: &str) -> ConfigMap {
        ConfigMap {
            metadata: ObjectMeta {
                name: Some(object.to_owned()),
                labels: Some(self.labels.clone()),
                owner_references: self
                    .owner
                    .as_ref()
                    .and_then(Owner::last)
                    .map(|owner| vec![owner]),
                ..ObjectMeta::default()
            },
            ..ConfigMap::default()
        }
    }

    async fn apply(&self, object: &str, map: &ConfigMap) -> Result<()> {
        let params = PatchParams::apply(MANAGER).force();
        let applied = self.maps().patch(object, &params, &Patch::Apply(map)).await;
        applied.map_err(|error| self.action("patch", object).error(error))?;
        Ok(())
    }

    fn may_write(&self) -> Result<()> {
        if self.acts.as_ref().is_none_or(|acts| *acts.borrow()) {
            return Ok(());
        }
        let text = format!(
            "nothing is kept under {} now: another process holds its lease, or it cannot be renewed",
            self.orchestrator
        );
        Err(Error::new(ErrorKind::Unavailable, text))
    }
}

impl fmt::Debug for ConfigMapState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigMapState")
            .field("access", &self.access)
            .field("orchestrator", &self.orchestrator)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl StateStore for ConfigMapState {
    async fn get(&self, name: &str) -> Result<Option<Bytes>> {
        let object = self.object(name);
        let found = self.maps().get_opt(&object).await;
        let found = found.map_err(|error| self.action("get", &object).error(error))?;
        let data = found.and_then(|map| map.binary_data);
        let document = data.and_then(|mut data| data.remove(ENTRY));
        Ok(document.map(|document| document.0.into()))
    }

    async fn put(&self, name: &str, document: Bytes) -> Result<()> {
        self.may_write()?;
        if document.len() > MAX_DOCUMENT_LEN {
            let text = format!(
                "document {name} has {} bytes; a ConfigMap holds {MAX_DOCUMENT_LEN}",
                document.len()
            );
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        let object = self.object(name);
        let mut map = self.map(&object);
        map.metadata.annotations = Some([(DOCUMENT.to_owned(), name.to_owned())].into());
        map.binary_data = Some([(ENTRY.to_owned(), ByteString(document.into()))].into());
        self.apply(&object, &map).await
    }

    async fn remove(&self, name: &str) -> Result<()> {
        self.may_write()?;
        let object = self.object(name);
        let found = self.maps().get_opt(&object).await;
        let found = found.map_err(|error| self.action("get", &object).error(error))?;
        if found.is_none_or(|map| map.binary_data.is_none()) {
            return Ok(());
        }
        // The Role does not permit deleting ConfigMaps, since one of them owns all other objects. The ConfigMap is
        // emptied instead, and reused by the next document with this name.
        let mut empty = self.map(&object);
        if let Some(labels) = &mut empty.metadata.labels {
            labels.remove(KEPT_BY);
        }
        self.apply(&object, &empty).await
    }

    async fn names(&self) -> Result<Vec<String>> {
        let selected = format!("{KEPT_BY}={}", self.orchestrator);
        let (maps, ours) = (self.maps(), ListParams::default().labels(&selected));
        let listed = maps.list_metadata(&ours).await;
        let listed = listed.map_err(|error| self.action("list", "").error(error))?;
        let named = listed.items.into_iter().filter_map(|map| {
            let mut annotations = map.metadata.annotations?;
            annotations.remove(DOCUMENT)
        });
        let mut names: Vec<String> = named.collect();
        names.sort_unstable();
        Ok(names)
    }
}
