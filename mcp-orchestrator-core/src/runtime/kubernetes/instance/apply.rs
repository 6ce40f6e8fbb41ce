//! Brings an instance's objects into the desired state: creates missing ones, scales up stopped instances, and
//! otherwise leaves them alone.

use std::sync::Arc;

use serde_json::{Value, json};

use super::tracked::TrackedInstance;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::kubernetes::kind::Kind;
use crate::runtime::kubernetes::names::{FAILURE, VALUES};
use crate::runtime::kubernetes::observe::objects::ObservedDeployment;
use crate::runtime::kubernetes::render::desired_hash::desired_hash;
use crate::runtime::kubernetes::render::{Failed, Objects, Rendering};
use crate::runtime::kubernetes::shared::Shared;
use crate::runtime::kubernetes::writer::Force;
use crate::runtime::{InstanceKey, LaunchSpec, Progress};
use crate::server::Launch;

/// The outcome of a request to run an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    /// This call started the instance.
    Started,
    /// The instance was already running or starting.
    AlreadyRunning,
}

impl Shared {
    /// Makes sure that the instance is running or starting.
    pub(crate) async fn apply(
        &self,
        tracked: &TrackedInstance,
        launch: &LaunchSpec,
        progress: &Progress,
    ) -> Result<Applied> {
        let key = &tracked.key;
        let deployment = self.current_deployment(tracked, progress).await?;
        let is_running = deployment.as_ref().is_some_and(|it| it.replicas != 0);
        progress.set_ran_before(is_running);
        // A running instance can be adopted even while the cluster is unreachable.
        let owner = if is_running {
            self.owner.any().await?
        } else {
            self.owner.reference().await?
        };
        // The rendered objects are large, so only a limited number of tasks holds them at a time.
        let _turn = self.writer.render_permit().await?;
        let (options, inside) = (&self.options, self.access.is_inside());
        let failed = |failed: Failed| failed.of(key.server());
        let rendering = Rendering::new(key, launch, options, inside, &owner).map_err(failed)?;
        let values = rendering.values_digest();
        let objects = rendering.objects().map_err(failed)?;
        let Some(deployment) = deployment else {
            progress.report("writing the objects");
            self.write(key, &objects, Force::No).await?;
            return Ok(Applied::Started);
        };
        let is_stopped = deployment.replicas == 0;
        let foreign_changes = deployment
            .foreign_changes
            .filter(|changes| tracked.is_unreverted(*changes));
        let outdated = deployment.wanted.as_deref() != Some(&desired_hash(key, options, inside));
        let other_owner = self.has_other_owner(&deployment);
        if foreign_changes.is_some() || other_owner || (is_stopped && outdated) {
            self.write(key, &objects, Force::Yes).await?;
            tracked.record_revert(foreign_changes);
            return Ok(if is_stopped {
                Applied::Started
            } else {
                Applied::AlreadyRunning
            });
        }
        let other_values = deployment.values.as_deref() != Some(&values);
        if !self.dependents_match(key.name(), &objects) {
            self.apply_dependents(key.name(), &objects, Force::Yes)
                .await?;
        } else if other_values && let Some(secret) = &objects.secret {
            self.apply_dependent(key.name(), Kind::Secret, secret, Force::Yes)
                .await?;
        }
        if is_stopped {
            let annotations = json!({ VALUES: values, FAILURE: null });
            self.scale(key, 1, &annotations).await?;
            return Ok(Applied::Started);
        }
        if other_values {
            let annotations = json!({ VALUES: values });
            self.record(key, self.writer.annotate(key.name(), &annotations).await?);
        }
        Ok(Applied::AlreadyRunning)
    }

    /// Returns the Deployment, if it exists, once nothing of the instance is about to end.
    async fn current_deployment(
        &self,
        tracked: &TrackedInstance,
        progress: &Progress,
    ) -> Result<Option<Arc<ObservedDeployment>>> {
        let key = &tracked.key;
        let recreate = tracked
            .launch()
            .is_some_and(|launch| match &launch.server.launch {
                Launch::Program(program) => program.container.recreate,
                Launch::Remote(_) => false,
            });
        let mut changes = self.store.subscribe(key.name());
        loop {
            changes.borrow_and_update();
            let view = self.store.view(key.name());
            // A terminating pod is no obstacle, unless two pods must not run at the same time.
            let busy = view
                .pods
                .iter()
                .any(|pod| !pod.terminated && (recreate || !pod.deleting));
            match view.deployment {
                None if !busy => return Ok(None),
                Some(deployment) if !(deployment.deleting || deployment.replicas == 0 && busy) => {
                    if deployment.key.as_ref() == Some(key) {
                        return Ok(Some(deployment));
                    }
                    let text = format!(
                        "deployment {key} belongs to another instance; delete it if it is not needed"
                    );
                    return Err(Error::new(ErrorKind::Conflict, text));
                }
                _ => progress.report("waiting for the pod before it to end"),
            }
            // Never fails: the store holds the sender.
            let _ = changes.changed().await;
        }
    }

    /// Writes all objects, the Deployment last, because its pods need the others.
    async fn write(&self, key: &InstanceKey, objects: &Objects, force: Force) -> Result<()> {
        self.apply_dependents(key.name(), objects, force).await?;
        let facts = self
            .writer
            .apply_deployment(&objects.deployment, force)
            .await?;
        self.record(key, Some(facts));
        Ok(())
    }

    /// Changes the number of replicas. Succeeds if the Deployment does not exist.
    pub(crate) async fn scale(
        &self,
        key: &InstanceKey,
        replicas: u8,
        annotations: &Value,
    ) -> Result<()> {
        let facts = self.writer.scale(key.name(), replicas, annotations).await?;
        self.record(key, facts);
        Ok(())
    }

    /// Stores the response of a write, ahead of the watch event.
    pub(crate) fn record(&self, key: &InstanceKey, facts: Option<ObservedDeployment>) {
        if let Some(facts) = facts {
            self.store.set_deployment(key.name(), facts);
        }
    }
}
