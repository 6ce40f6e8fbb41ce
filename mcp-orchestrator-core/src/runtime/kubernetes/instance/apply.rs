//! Brings an instance's objects into the desired state: creates missing ones, scales up stopped instances, and
//! otherwise leaves them alone.

use std::sync::Arc;

use serde_json::{Value, json};

use super::tracked::Run;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::kubernetes::kind::Kind;
use crate::runtime::kubernetes::names::{FAILURE, VALUES};
use crate::runtime::kubernetes::observe::objects::DeploymentFacts;
use crate::runtime::kubernetes::render::revision::wanted;
use crate::runtime::kubernetes::render::{Failed, Objects, Rendering};
use crate::runtime::kubernetes::shared::Shared;
use crate::runtime::kubernetes::writer::Force;
use crate::runtime::{InstanceKey, LaunchSpec, Progress};
use crate::server::Launch;

/// The outcome of a request to run an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    /// This call started the instance.
    Now,
    /// The instance was already running or starting.
    Before,
}

impl Shared {
    /// Makes sure that the instance is running or starting.
    pub(crate) async fn place(
        &self,
        run: &Run,
        launch: &LaunchSpec,
        progress: &Progress,
    ) -> Result<Placed> {
        let key = &run.key;
        let deployment = self.in_place(run, progress).await?;
        let runs = deployment.as_ref().is_some_and(|it| it.replicas != 0);
        progress.set_ran_before(runs);
        // A running instance can be adopted even while the cluster is unreachable.
        let owner = if runs {
            self.owner.any().await?
        } else {
            self.owner.reference().await?
        };
        // The rendered objects are large, so only a limited number of tasks holds them at a time.
        let _turn = self.writes.turn_to_make().await?;
        let (options, inside) = (&self.options, self.access.is_inside());
        let failed = |failed: Failed| failed.of(key.server());
        let rendering = Rendering::new(key, launch, options, inside, &owner).map_err(failed)?;
        let values = rendering.values_digest();
        let objects = rendering.objects().map_err(failed)?;
        let Some(deployment) = deployment else {
            progress.report("writing the objects");
            self.write(key, &objects, Force::No).await?;
            return Ok(Placed::Now);
        };
        let rests = deployment.replicas == 0;
        let touched = deployment.touched.filter(|hand| run.is_new_hand(*hand));
        let outdated = deployment.wanted.as_deref() != Some(&wanted(key, options, inside));
        let anothers = self.is_anothers(&deployment);
        if touched.is_some() || anothers || (rests && outdated) {
            self.write(key, &objects, Force::Yes).await?;
            run.note_put_back(touched);
            return Ok(if rests { Placed::Now } else { Placed::Before });
        }
        let other_values = deployment.values.as_deref() != Some(&values);
        if !self.is_beside(key.name(), &objects) {
            self.write_beside(key.name(), &objects, Force::Yes).await?;
        } else if other_values && let Some(secret) = &objects.secret {
            self.apply_beside(key.name(), Kind::Secret, secret, Force::Yes)
                .await?;
        }
        if rests {
            let annotations = json!({ VALUES: values, FAILURE: null });
            self.scale(key, 1, &annotations).await?;
            return Ok(Placed::Now);
        }
        if other_values {
            let annotations = json!({ VALUES: values });
            self.learn(key, self.writes.annotate(key.name(), &annotations).await?);
        }
        Ok(Placed::Before)
    }

    /// Returns the Deployment, if it exists, once nothing of the instance is about to end.
    async fn in_place(
        &self,
        run: &Run,
        progress: &Progress,
    ) -> Result<Option<Arc<DeploymentFacts>>> {
        let key = &run.key;
        let recreate = run
            .launch()
            .is_some_and(|launch| match &launch.server.launch {
                Launch::Program(program) => program.container.recreate,
                Launch::Remote(_) => false,
            });
        let mut bell = self.store.bell(key.name());
        loop {
            bell.borrow_and_update();
            let view = self.store.view(key.name());
            // A terminating pod is no obstacle, unless two pods must not run at the same time.
            let busy = view
                .pods
                .iter()
                .any(|pod| !pod.over && (recreate || !pod.deleting));
            match view.deployment {
                None if !busy => return Ok(None),
                Some(deployment) if !(deployment.deleting || deployment.replicas == 0 && busy) => {
                    if deployment.key.as_ref() == Some(key) {
                        return Ok(Some(deployment));
                    }
                    let text = format!(
                        "deployment {key} is that of another instance; delete it if nobody needs it"
                    );
                    return Err(Error::new(ErrorKind::Conflict, text));
                }
                _ => progress.report("waiting for the pod before it to end"),
            }
            // Never fails: the store holds the sender.
            let _ = bell.changed().await;
        }
    }

    /// Writes all objects, the Deployment last, because its pods need the others.
    async fn write(&self, key: &InstanceKey, objects: &Objects, force: Force) -> Result<()> {
        self.write_beside(key.name(), objects, force).await?;
        let facts = self
            .writes
            .apply_deployment(&objects.deployment, force)
            .await?;
        self.learn(key, Some(facts));
        Ok(())
    }

    /// Changes the number of replicas. Succeeds if the Deployment does not exist.
    pub(crate) async fn scale(
        &self,
        key: &InstanceKey,
        replicas: u8,
        annotations: &Value,
    ) -> Result<()> {
        let facts = self.writes.scale(key.name(), replicas, annotations).await?;
        self.learn(key, facts);
        Ok(())
    }

    /// Stores the response of a write, ahead of the watch event.
    pub(crate) fn learn(&self, key: &InstanceKey, facts: Option<DeploymentFacts>) {
        if let Some(facts) = facts {
            self.store.set_deployment(key.name(), facts);
        }
    }
}
