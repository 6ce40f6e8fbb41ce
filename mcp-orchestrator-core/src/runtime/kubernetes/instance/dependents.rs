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
    pub(crate) fn take_beside(
        self: &Arc<Self>,
        kind: Kind,
        listed: &mut HashSet<String>,
        event: &Event<ObjectMeta>,
    ) {
        let concerned = self.beside.take(kind, &self.manager, listed, event);
        for name in concerned {
            match self.store.view(&name).deployment {
                Some(_) => self.look(&name),
                // The objects are deleted together with their Deployment.
                None => self.beside.drop_gone(&name),
            }
        }
    }

    /// Returns `true` if all dependents of this Deployment exist and are unchanged.
    pub(crate) fn is_beside(&self, name: &str, objects: &Objects) -> bool {
        !self.beside.is_changed(name) && !self.beside.lacks(name, objects.beside())
    }

    /// Writes all dependents of the Deployment of this name.
    pub(crate) async fn write_beside(
        &self,
        name: &str,
        objects: &Objects,
        force: Force,
    ) -> Result<()> {
        let applied = objects
            .beside()
            .map(|(kind, object)| self.apply_beside(name, kind, object, force));
        futures_util::future::try_join_all(applied).await?;
        Ok(())
    }

    /// Writes one dependent of the Deployment of this name.
    pub(crate) async fn apply_beside(
        &self,
        name: &str,
        kind: Kind,
        object: &Value,
        force: Force,
    ) -> Result<()> {
        let applied = self.writes.apply(kind, object, force).await?;
        if let Some(version) = applied.metadata.resource_version
            && matches!(kind, Kind::Secret | Kind::NetworkPolicy)
        {
            self.beside.wrote(kind, name, name_of(object), version);
        }
        Ok(())
    }
}
