//! Writes the Secrets, NetworkPolicies and Services of an instance, and restores those that another client has changed
//! or deleted.

use std::collections::HashSet;
use std::sync::Arc;

use kube::core::ObjectMeta;
use kube::runtime::watcher::Event;
use serde_json::Value;

use crate::error::Result;
use crate::runtime::kubernetes::kind::Kind;
use crate::runtime::kubernetes::observe::dependents::name_of;
use crate::runtime::kubernetes::render::Objects;
use crate::runtime::kubernetes::shared::Shared;
use crate::runtime::kubernetes::writer::Force;

impl Shared {
    /// Processes a watch event of one of these kinds.
    pub(crate) fn observe_dependent(
        self: &Arc<Self>,
        kind: Kind,
        listed: &mut HashSet<String>,
        event: &Event<ObjectMeta>,
    ) {
        let concerned = self.dependents.observe(kind, &self.manager, listed, event);
        for name in concerned {
            match self.store.view(&name).deployment {
                Some(_) => self.reconcile(&name),
                // The objects are deleted together with their Deployment.
                None => self.dependents.drop_gone(&name),
            }
        }
    }

    /// Returns `true` if all dependents of this Deployment exist and are unchanged.
    pub(crate) fn dependents_match(&self, name: &str, objects: &Objects) -> bool {
        !self.dependents.is_changed(name) && !self.dependents.lacks(name, objects.dependents())
    }

    /// Writes all dependents of the Deployment of this name.
    pub(crate) async fn apply_dependents(
        &self,
        name: &str,
        objects: &Objects,
        force: Force,
    ) -> Result<()> {
        let applied = objects
            .dependents()
            .map(|(kind, object)| self.apply_dependent(name, kind, object, force));
        futures_util::future::try_join_all(applied).await?;
        Ok(())
    }

    /// Writes one dependent of the Deployment of this name.
    pub(crate) async fn apply_dependent(
        &self,
        name: &str,
        kind: Kind,
        object: &Value,
        force: Force,
    ) -> Result<()> {
        let applied = self.writer.apply(kind, object, force).await?;
        if let Some(version) = applied.metadata.resource_version
            && matches!(kind, Kind::Secret | Kind::NetworkPolicy)
        {
            self.dependents.wrote(kind, name, name_of(object), version);
        }
        Ok(())
    }
}
