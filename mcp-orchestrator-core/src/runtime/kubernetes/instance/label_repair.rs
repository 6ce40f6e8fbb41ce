//! Finds Deployments of this orchestrator that have lost a label, which hides them from the watches, and restores the
//! label.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::api::{DynamicObject, ListParams};
use kube::core::{ObjectMeta, PartialObjectMeta};

use crate::error::Result;
use crate::limits::KUBERNETES_PAGE_LEN;
use crate::runtime::InstanceKey;
use crate::runtime::kubernetes::kind::Kind;
use crate::runtime::kubernetes::names::{KEY, labels};
use crate::runtime::kubernetes::shared::Shared;

/// Returns the page size of list requests, in objects.
pub(crate) fn page_len() -> u32 {
    u32::try_from(KUBERNETES_PAGE_LEN).unwrap_or(u32::MAX)
}

impl Shared {
    /// Handles a Deployment that has disappeared from the watch. Unless this process is starting, stopping or
    /// removing it, its owner or one of its labels may be gone.
    pub(crate) fn handle_vanished(self: &Arc<Self>, name: String) {
        let Some(tracked) = self.tracked.find(&name) else {
            return;
        };
        if tracked.lifecycle.try_lock().is_err() || !self.writer.is_held() {
            return;
        }
        self.owner.invalidate();
        let shared = Arc::clone(self);
        self.tasks.spawn(async move {
            if let Err(error) = shared.owner.reference().await {
                tracing::debug!(name, %error, "cannot read the owner of a deployment that has vanished");
            }
            let of_name = ListParams::default().fields(&format!("metadata.name={name}"));
            if let Err(error) = shared.restore_labels_on(of_name).await {
                tracing::debug!(name, %error, "cannot look for a deployment that has vanished");
            }
        });
    }

    /// Restores missing labels on the Deployments of this orchestrator.
    pub(crate) async fn restore_labels(&self) -> Result<()> {
        self.restore_labels_on(ListParams::default()).await
    }

    async fn restore_labels_on(&self, selected: ListParams) -> Result<()> {
        let mut params = selected.limit(page_len());
        loop {
            let listed = self
                .writer
                .api(Kind::Deployment)
                .list_metadata(&params)
                .await;
            let listed = listed
                .map_err(|error| self.writer.action("list", Kind::Deployment).error(error))?;
            for object in &listed.items {
                if let Some((key, wanted)) = self.missing_labels(object) {
                    tracing::warn!(instance = %key, "labels of an instance were taken off, and are put back");
                    let facts = self.writer.label(key.name(), &wanted).await?;
                    self.record(&key, facts);
                }
            }
            match listed.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(()),
            }
        }
    }

    /// Returns the labels that a Deployment should have, if it is ours and lacks one.
    fn missing_labels(
        &self,
        object: &PartialObjectMeta<DynamicObject>,
    ) -> Option<(InstanceKey, BTreeMap<String, String>)> {
        let meta = &object.metadata;
        if meta.deletion_timestamp.is_some() || !is_written_by(meta, &self.manager) {
            return None;
        }
        let key = InstanceKey::from_text(meta.annotations.as_ref()?.get(KEY)?).ok()?;
        if meta.name.as_deref() != Some(key.name()) {
            return None;
        }
        let wanted = labels(&key, &self.options.orchestrator);
        let has = |name: &String, value: &String| {
            let own = meta.labels.as_ref().and_then(|labels| labels.get(name));
            own == Some(value)
        };
        let lacks = !wanted.iter().all(|(name, value)| has(name, value));
        lacks.then_some((key, wanted))
    }
}

fn is_written_by(meta: &ObjectMeta, manager: &str) -> bool {
    let mut managers = meta.managed_fields.iter().flatten();
    managers.any(|entry| entry.manager.as_deref() == Some(manager))
}
