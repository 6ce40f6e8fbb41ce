//! An instance's objects, as they are to be: written where they are not there, woken where they rest, and else left as
//! they are.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Shared;
use super::facts::DeploymentFacts;
use super::names::{FAILURE, VALUES, wanted};
use super::render::{Failed, Objects, Rendering};
use super::runs::Run;
use super::writes::{Force, Kind};
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::{InstanceKey, LaunchSpec, Progress};
use crate::server::Launch;

/// What became of the wish that it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    /// It is on its way because of us.
    Now,
    /// It runs, or is on its way, from before.
    Before,
}

impl Shared {
    /// Sees to it that it is on its way.
    pub(super) async fn place(
        &self,
        run: &Run,
        launch: &LaunchSpec,
        progress: &Progress,
    ) -> Result<Placed> {
        let key = &run.key;
        let deployment = self.in_place(run, progress).await?;
        let runs = deployment.as_ref().is_some_and(|it| it.replicas != 0);
        progress.set_ran_before(runs);
        // What runs can be joined while the cluster does not answer.
        let owner = if runs {
            self.owner.any().await?
        } else {
            self.owner.reference().await?
        };
        // The objects are large: those alone have them who are about to write them.
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

    /// Its Deployment, once nothing of it is about to end.
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
            // What a pod that is about to end does is nobody's business, unless it must not run twice.
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
            // The sender lives in the store.
            let _ = bell.changed().await;
        }
    }

    /// Writes all objects, the Deployment last: what its pods need stands before them.
    async fn write(&self, key: &InstanceKey, objects: &Objects, force: Force) -> Result<()> {
        self.write_beside(key.name(), objects, force).await?;
        let facts = self
            .writes
            .apply_deployment(&objects.deployment, force)
            .await?;
        self.learn(key, Some(facts));
        Ok(())
    }

    /// Changes the number of replicas; absent is Ok.
    pub(super) async fn scale(
        &self,
        key: &InstanceKey,
        replicas: u8,
        annotations: &Value,
    ) -> Result<()> {
        let facts = self.writes.scale(key.name(), replicas, annotations).await?;
        self.learn(key, facts);
        Ok(())
    }

    /// What the cluster answered is known before the watch tells it.
    pub(super) fn learn(&self, key: &InstanceKey, facts: Option<DeploymentFacts>) {
        if let Some(facts) = facts {
            self.store.set_deployment(key.name(), facts);
        }
    }
}
