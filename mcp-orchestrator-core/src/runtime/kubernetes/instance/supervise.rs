//! Reacts to changes in the cluster: notifies watchers, resolves exit futures, and reverts changes that other clients
//! made.

use std::sync::Arc;

use serde_json::json;

use super::event_queue::EventReason;
use super::tracked::{ProgramEnd, TrackedInstance};
use crate::error::Result;
use crate::runtime::kubernetes::io::logs::tail;
use crate::runtime::kubernetes::names::FAILURE;
use crate::runtime::kubernetes::observe::status::{self, state_of};
use crate::runtime::kubernetes::observe::store::View;
use crate::runtime::kubernetes::render::Rendering;
use crate::runtime::kubernetes::shared::Shared;
use crate::runtime::kubernetes::writer::Force;
use crate::runtime::{Exit, LaunchSpec};

impl Shared {
    /// Examines every instance, for example after a list is complete.
    pub(crate) fn reconcile_all(self: &Arc<Self>) {
        if self.store.is_synced() {
            self.store
                .deployed()
                .iter()
                .for_each(|name| self.reconcile(name));
        }
    }

    /// Examines one instance that has changed or may have changed.
    pub(crate) fn reconcile(self: &Arc<Self>, name: &str) {
        if !self.store.is_synced() {
            return;
        }
        let view = self.store.view(name);
        self.report_status(name, &view);
        let Some(tracked) = self.tracked.find(name) else {
            return;
        };
        if let Some(end) = tracked.take_end(&view) {
            let finish = Arc::clone(self).finish(Arc::clone(&tracked), end);
            self.tasks.spawn(finish);
        }
        if self.needs_revert(&tracked, &view) && self.writer.is_held() {
            self.tasks.spawn(Arc::clone(self).revert(tracked));
        }
    }

    /// Returns `true` if another client has changed a running instance. A stopped instance is repaired when it is
    /// woken from zero.
    fn needs_revert(&self, tracked: &TrackedInstance, view: &View) -> bool {
        let deployment = view.deployment.as_ref();
        let running = deployment.filter(|it| it.replicas != 0 && !it.deleting);
        running.is_some_and(|it| {
            let foreign_changes = it
                .foreign_changes
                .is_some_and(|changes| tracked.is_unreverted(changes));
            let changed = foreign_changes
                || it.replicas > 1
                || self.has_other_owner(it)
                || self.dependents.is_changed(tracked.key.name());
            changed && tracked.launch().is_some()
        })
    }

    /// Notifies watchers if the status has changed.
    fn report_status(&self, name: &str, view: &View) {
        let state = state_of(view);
        let key = view.deployment.as_ref().and_then(|it| it.key.clone());
        let status = key.and_then(|key| status::status(&key, view, &state));
        match (status, state) {
            (Some(status), _) => self.status_events.report(&self.statuses, name, status),
            (None, status::InstanceState::Absent) => {
                self.status_events.forget(&self.statuses, name);
            }
            (None, _) => {}
        }
    }

    /// Handles the end of a program that was handed out.
    async fn finish(self: Arc<Self>, tracked: Arc<TrackedInstance>, end: ProgramEnd) {
        let key = &tracked.key;
        let view = self.store.view(key.name());
        let wanted = view
            .deployment
            .as_ref()
            .is_some_and(|it| !it.deleting && it.replicas != 0);
        let mut lines = Vec::new();
        if let Some(log) = end.log.filter(|_| wanted) {
            lines = self.keep_log(key, &end.current.pod.name, log).await;
        }
        let reason = if wanted {
            end.reason
        } else {
            "stopped".to_owned()
        };
        tracing::info!(instance = %key, pod = end.current.pod.name, %reason, "ended");
        if wanted {
            tracked.record_end(&reason);
            self.event(key, EventReason::Crashed, reason.clone());
        }
        end.current.exit.send_replace(Some(Exit {
            reason,
            code: end.code.filter(|_| wanted),
            tail: tail(&lines),
        }));
        let _lifecycle = tracked.lifecycle.lock().await;
        // The previous holder of the lock may have restarted the instance or scaled it to zero.
        let Some(reason) = tracked.take_ended() else {
            return;
        };
        if let Err(error) = self.scale_down_ended(&tracked, &reason).await {
            tracing::warn!(instance = %key, %error, "an ended instance was not scaled to zero");
        }
        self.reconcile(key.name());
    }

    /// Scales an instance to zero after its program ended by itself. The pod may already run another program, which
    /// was not requested; the pool decides about the next start.
    pub(crate) async fn scale_down_ended(
        &self,
        tracked: &TrackedInstance,
        reason: &str,
    ) -> Result<()> {
        let view = self.store.view(tracked.key.name());
        let wanted = view
            .deployment
            .as_ref()
            .is_some_and(|it| !it.deleting && it.replicas != 0);
        if !wanted {
            return Ok(());
        }
        self.scale(&tracked.key, 0, &json!({ FAILURE: reason }))
            .await?;
        let left = view
            .pods
            .iter()
            .filter(|pod| !pod.terminated && !pod.deleting);
        for pod in left {
            self.writer.end_pod(&pod.name, &pod.uid, 1).await?;
        }
        Ok(())
    }

    /// Reverts the changes that another client made to an instance.
    async fn revert(self: Arc<Self>, tracked: Arc<TrackedInstance>) {
        let _lifecycle = tracked.lifecycle.lock().await;
        // Paced, so that a client that keeps undoing the repair does not cause a busy loop.
        tokio::time::sleep_until(tracked.next_revert()).await;
        let view = self.store.view(tracked.key.name());
        let (Some(launch), Some(deployment)) = (tracked.launch(), &view.deployment) else {
            return;
        };
        // The previous holder of the lock may have stopped or rewritten the instance.
        if !self.needs_revert(&tracked, &view) {
            return;
        }
        let key = &tracked.key;
        tracked.record_revert(deployment.foreign_changes);
        match self.revert_all(&tracked, &launch).await {
            Ok(()) => {
                tracing::warn!(instance = %key, "it was changed concurrently, and put back");
            }
            Err(error) => {
                tracing::warn!(instance = %key, %error, "a change by another client was not reverted");
            }
        }
    }

    async fn revert_all(&self, tracked: &TrackedInstance, launch: &LaunchSpec) -> Result<()> {
        let (key, options, inside) = (&tracked.key, &self.options, self.access.is_inside());
        let owner = self.owner.reference().await?;
        let rendering = Rendering::new(key, launch, options, inside, &owner);
        let rendering = rendering.map_err(|failed| failed.of(key.server()))?;
        let objects = rendering
            .objects()
            .map_err(|failed| failed.of(key.server()))?;
        let known = self.store.view(key.name()).deployment;
        let other_owner = known.is_some_and(|known| self.has_other_owner(&known));
        if other_owner || !self.dependents_match(key.name(), &objects) {
            self.apply_dependents(key.name(), &objects, Force::Yes)
                .await?;
        }
        let facts = self
            .writer
            .apply_deployment(&objects.deployment, Force::Yes)
            .await?;
        // Foreign changes that remain after our apply are in fields that are not ours.
        tracked.record_revert(facts.foreign_changes);
        self.record(key, Some(facts));
        Ok(())
    }
}
