//! Reacts to changes in the cluster: notifies watchers, resolves exit futures, and reverts changes that other clients
//! made.

use std::sync::Arc;

use serde_json::json;

use super::event_queue::Happened;
use super::tracked::{Over, Run};
use crate::error::Result;
use crate::runtime::kubernetes::io::logs::tail;
use crate::runtime::kubernetes::names::FAILURE;
use crate::runtime::kubernetes::observe::status::{self, judge};
use crate::runtime::kubernetes::observe::store::View;
use crate::runtime::kubernetes::render::Rendering;
use crate::runtime::kubernetes::shared::Shared;
use crate::runtime::kubernetes::writer::Force;
use crate::runtime::{Exit, LaunchSpec};

impl Shared {
    /// Examines every instance, for example after a list is complete.
    pub(crate) fn look_at_all(self: &Arc<Self>) {
        if self.store.is_synced() {
            self.store
                .deployed()
                .iter()
                .for_each(|name| self.look(name));
        }
    }

    /// Examines one instance that has changed or may have changed.
    pub(crate) fn look(self: &Arc<Self>, name: &str) {
        if !self.store.is_synced() {
            return;
        }
        let view = self.store.view(name);
        self.tell(name, &view);
        let Some(run) = self.runs.find(name) else {
            return;
        };
        if let Some(over) = run.over(&view) {
            let finish = Arc::clone(self).finish(Arc::clone(&run), over);
            self.tasks.spawn(finish);
        }
        if self.is_to_be_put_back(&run, &view) && self.writes.is_held() {
            self.tasks.spawn(Arc::clone(self).put_back(run));
        }
    }

    /// Returns `true` if another client has changed a running instance. A stopped instance is repaired when it is
    /// woken from zero.
    fn is_to_be_put_back(&self, run: &Run, view: &View) -> bool {
        let deployment = view.deployment.as_ref();
        let running = deployment.filter(|it| it.replicas != 0 && !it.deleting);
        running.is_some_and(|it| {
            let touched = it.touched.is_some_and(|hand| run.is_new_hand(hand));
            let changed = touched
                || it.replicas > 1
                || self.is_anothers(it)
                || self.beside.is_changed(run.key.name());
            changed && run.launch().is_some()
        })
    }

    /// Notifies watchers if the status has changed.
    fn tell(&self, name: &str, view: &View) {
        let standing = judge(view);
        let key = view.deployment.as_ref().and_then(|it| it.key.clone());
        let status = key.and_then(|key| status::status(&key, view, &standing));
        match (status, standing) {
            (Some(status), _) => self.told.tell(&self.board, name, status),
            (None, status::Standing::Absent) => self.told.forget(&self.board, name),
            (None, _) => {}
        }
    }

    /// Handles the end of a program that was handed out.
    async fn finish(self: Arc<Self>, run: Arc<Run>, over: Over) {
        let key = &run.key;
        let view = self.store.view(key.name());
        let wanted = view
            .deployment
            .as_ref()
            .is_some_and(|it| !it.deleting && it.replicas != 0);
        let mut lines = Vec::new();
        if let Some(log) = over.log.filter(|_| wanted) {
            lines = self.keep_log(key, &over.current.pod.name, log).await;
        }
        let reason = if wanted {
            over.reason
        } else {
            "stopped".to_owned()
        };
        tracing::info!(instance = %key, pod = over.current.pod.name, %reason, "ended");
        if wanted {
            run.note_ended(&reason);
            self.event(key, Happened::Crashed, reason.clone());
        }
        over.current.exit.send_replace(Some(Exit {
            reason,
            code: over.code.filter(|_| wanted),
            tail: tail(&lines),
        }));
        let _life = run.life.lock().await;
        // The previous holder of the lock may have restarted the instance or scaled it to zero.
        let Some(reason) = run.take_ended() else {
            return;
        };
        if let Err(error) = self.rest_ended(&run, &reason).await {
            tracing::warn!(instance = %key, %error, "an instance that has ended was not put to rest");
        }
        self.look(key.name());
    }

    /// Scales an instance to zero after its program ended by itself. The pod may already run another program, which
    /// was not requested; the pool decides about the next start.
    pub(crate) async fn rest_ended(&self, run: &Run, reason: &str) -> Result<()> {
        let view = self.store.view(run.key.name());
        let wanted = view
            .deployment
            .as_ref()
            .is_some_and(|it| !it.deleting && it.replicas != 0);
        if !wanted {
            return Ok(());
        }
        self.scale(&run.key, 0, &json!({ FAILURE: reason })).await?;
        let left = view.pods.iter().filter(|pod| !pod.over && !pod.deleting);
        for pod in left {
            self.writes.end_pod(&pod.name, &pod.uid, 1).await?;
        }
        Ok(())
    }

    /// Reverts the changes that another client made to an instance.
    async fn put_back(self: Arc<Self>, run: Arc<Run>) {
        let _life = run.life.lock().await;
        // Paced, so that a client that keeps undoing the repair does not cause a busy loop.
        tokio::time::sleep_until(run.next_put_back()).await;
        let view = self.store.view(run.key.name());
        let (Some(launch), Some(deployment)) = (run.launch(), &view.deployment) else {
            return;
        };
        // The previous holder of the lock may have stopped or rewritten the instance.
        if !self.is_to_be_put_back(&run, &view) {
            return;
        }
        let key = &run.key;
        run.note_put_back(deployment.touched);
        match self.put_back_all(&run, &launch).await {
            Ok(()) => {
                tracing::warn!(instance = %key, "it was changed by somebody else, and put back");
            }
            Err(error) => {
                tracing::warn!(instance = %key, %error, "what somebody else has changed was not put back");
            }
        }
    }

    async fn put_back_all(&self, run: &Run, launch: &LaunchSpec) -> Result<()> {
        let (key, options, inside) = (&run.key, &self.options, self.access.is_inside());
        let owner = self.owner.reference().await?;
        let rendering = Rendering::new(key, launch, options, inside, &owner);
        let rendering = rendering.map_err(|failed| failed.of(key.server()))?;
        let objects = rendering
            .objects()
            .map_err(|failed| failed.of(key.server()))?;
        let known = self.store.view(key.name()).deployment;
        let anothers = known.is_some_and(|known| self.is_anothers(&known));
        if anothers || !self.is_beside(key.name(), &objects) {
            self.write_beside(key.name(), &objects, Force::Yes).await?;
        }
        let facts = self
            .writes
            .apply_deployment(&objects.deployment, Force::Yes)
            .await?;
        // Foreign changes that remain after our apply are in fields that are not ours.
        run.note_put_back(facts.touched);
        self.learn(key, Some(facts));
        Ok(())
    }
}
