//! Stopping and removing instances.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::event_queue::EventReason;
use super::start::headers;
use super::tracked::{PodLog, TrackedInstance};
use crate::credential::Credential;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::kubernetes::kind::Kind;
use crate::runtime::kubernetes::names::{FAILURE, VALUES, pull_secret};
use crate::runtime::kubernetes::observe::objects::ObservedPod;
use crate::runtime::kubernetes::observe::status::{InstanceState, state_of};
use crate::runtime::kubernetes::render::Rendering;
use crate::runtime::kubernetes::shared::Shared;
use crate::runtime::kubernetes::writer::Force;
use crate::runtime::{InstanceKey, LaunchSpec, Progress};

/// How long a removal waits for the initial lists of the watches.
const SYNC_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a pod may take beyond its shortened grace period before the period is shortened again.
const TERMINATION_SLACK: Duration = Duration::from_secs(8);

impl Shared {
    /// Scales the instance to zero with a single write, if it runs.
    pub(crate) async fn stop(self: &Arc<Self>, key: &InstanceKey, grace: Duration) -> Result<()> {
        self.wait_for_cluster(&Progress::unheard()).await;
        let tracked = self.tracked.of(key);
        tracked.stops.send_modify(|stops| *stops += 1);
        let _lifecycle = tracked.lifecycle.lock().await;
        let view = self.store.view(key.name());
        if view
            .deployment
            .as_ref()
            .is_some_and(|it| !it.deleting && it.replicas != 0)
        {
            let scaled = match tracked.take_ended() {
                Some(reason) => self.scale_down_ended(&tracked, &reason).await,
                None => {
                    self.keep_last_log(&tracked).await;
                    let scaled = self.scale(key, 0, &json!({ FAILURE: null })).await;
                    scaled.map(drop)
                }
            };
            scaled.map_err(|error| self.about(key, error))?;
            self.event(
                key,
                EventReason::Stopped,
                "scaled to zero until the next call",
            );
        }
        self.terminate(key, grace, false).await
    }

    /// Waits until the instance has ended, and makes `grace` apply instead of the pod's own, longer grace period.
    ///
    /// The first grace period that the kubelet sees applies: once it waits for a container to terminate, it does not
    /// pick up a shorter one (its `SyncTerminatingPod` ignores that it is cancelled). There is no way to guarantee
    /// that ours comes first. A ReplicaSet that is scaled to zero deletes the pod with the pod's own grace period; a
    /// pod that is deleted before that gets a replacement, which would run alongside it; and the pod's own grace
    /// period is immutable. So the pod is deleted right after the scale-down, which in most cases is before the
    /// kubelet begins.
    async fn terminate(
        self: &Arc<Self>,
        key: &InstanceKey,
        grace: Duration,
        gone: bool,
    ) -> Result<()> {
        let seconds = u32::try_from(grace.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
        // At least two seconds, so that the period can be shortened once more.
        let seconds = seconds.max(2);
        self.shorten_grace_period(key, seconds).await?;
        let patience = grace.saturating_add(TERMINATION_SLACK);
        let ended = tokio::time::timeout(patience, self.wait_until_ended(key, grace, gone));
        if let Ok(ended) = ended.await {
            return ended;
        }
        // A kubelet that already waits for the pod's own grace period sometimes misses a shorter one. If it misses
        // the second one as well, the pod's own period applies after all.
        self.shorten_grace_period(key, seconds - 1).await?;
        self.wait_until_ended(key, grace, gone).await
    }

    /// Shortens the termination of pods that have a longer grace period than this many seconds.
    async fn shorten_grace_period(&self, key: &InstanceKey, seconds: u32) -> Result<()> {
        let pods = self.store.view(key.name()).pods;
        let slower = |pod: &&Arc<ObservedPod>| !pod.terminated && pod.grace > i64::from(seconds);
        for pod in pods.iter().filter(slower) {
            let ended = self.writer.end_pod(&pod.name, &pod.uid, seconds).await;
            ended.map_err(|error| self.about(key, error))?;
        }
        Ok(())
    }

    /// Removes everything that belongs to the instance. The removal completes even if the caller drops the future.
    pub(crate) async fn remove(self: &Arc<Self>, key: &InstanceKey, grace: Duration) -> Result<()> {
        let (shared, key) = (Arc::clone(self), key.clone());
        let work = self
            .tasks
            .spawn(async move { shared.remove_all(&key, grace).await });
        work.await.unwrap_or_else(|_| {
            Err(Error::new(
                ErrorKind::Unavailable,
                "the kubernetes backend is closed",
            ))
        })
    }

    async fn remove_all(self: &Arc<Self>, key: &InstanceKey, grace: Duration) -> Result<()> {
        // Before the first lists are complete this process has started nothing, so whatever exists was running
        // before. It must not be removed because a start failed to reach it; whether it is still needed is decided
        // once the cluster is visible.
        let unheard = Progress::unheard();
        let seen = tokio::time::timeout(SYNC_TIMEOUT, self.wait_for_cluster(&unheard)).await;
        seen.map_err(|_| {
            let text = "the cluster does not say what there is, so nothing is taken away";
            self.about(key, Error::new(ErrorKind::Unavailable, text))
        })?;
        let tracked = self.tracked.of(key);
        tracked.stops.send_modify(|stops| *stops += 1);
        let lifecycle = tracked.lifecycle.lock().await;
        let view = self.store.view(key.name());
        let name = key.name();
        let written = tracked.launch().is_some();
        if let Some(deployment) = &view.deployment {
            self.event(
                key,
                EventReason::Removed,
                "the instance and its secrets are removed: nothing needs them any more",
            );
            if deployment.key.as_ref().is_some_and(|other| other != key) {
                return Ok(());
            }
            let deleted = self
                .writer
                .delete(Kind::Deployment, name, Some(&deployment.uid))
                .await;
            deleted.map_err(|error| self.about(key, error))?;
        } else if written {
            // A Deployment that has lost its labels is not visible to the watches.
            let deleted = self.writer.delete(Kind::Deployment, name, None).await;
            deleted.map_err(|error| self.about(key, error))?;
        }
        if view.deployment.is_some() || !view.pods.is_empty() || written {
            self.terminate(key, grace, true).await?;
            let pull = pull_secret(key);
            // These are deleted after the pod, so that a terminating pod does not lose its NetworkPolicy.
            let rest = [
                (Kind::Secret, name),
                (Kind::Secret, pull.as_str()),
                (Kind::NetworkPolicy, name),
                (Kind::Service, name),
            ];
            let deleted = rest.map(|(kind, name)| self.writer.delete(kind, name, None));
            let deleted = futures_util::future::try_join_all(deleted).await;
            deleted.map_err(|error| self.about(key, error))?;
        }
        self.dependents.forget(name);
        self.book.forget(key);
        drop(lifecycle);
        self.tracked.forget(&tracked);
        Ok(())
    }

    /// Waits until no pod of the instance is left, and with `gone` until the Deployment is deleted as well.
    async fn wait_until_ended(
        self: &Arc<Self>,
        key: &InstanceKey,
        grace: Duration,
        gone: bool,
    ) -> Result<()> {
        let patience = grace
            .saturating_mul(2)
            .saturating_add(self.options.stop_patience);
        let mut changes = self.store.subscribe(key.name());
        let ended = async {
            loop {
                changes.borrow_and_update();
                match state_of(&self.store.view(key.name())) {
                    InstanceState::Absent => return,
                    InstanceState::Stopped(_) if !gone => return,
                    _ => {}
                }
                // Never fails: the store holds the sender.
                let _ = changes.changed().await;
            }
        };
        let ended = tokio::time::timeout(patience, ended).await;
        self.reconcile(key.name());
        ended.map_err(|_| {
            let text = format!(
                "instance {key} still runs {} s after its stop",
                patience.as_secs()
            );
            self.about(key, Error::new(ErrorKind::Unavailable, text))
        })
    }

    /// Stores the last lines of a pod, because its log is deleted with it.
    async fn keep_last_log(&self, tracked: &TrackedInstance) {
        if let Some(current) = tracked.current() {
            self.keep_log(&tracked.key, &current.pod.name, PodLog::Current)
                .await;
        }
    }

    /// Applies a newer credential generation: rewrites the Secret, from which the kubelet updates the files in the
    /// pod.
    pub(crate) async fn refresh(
        self: &Arc<Self>,
        key: &InstanceKey,
        credential: &Credential,
    ) -> Result<()> {
        let Some(tracked) = self.tracked.find(key.name()) else {
            return Ok(());
        };
        let _lifecycle = tracked.lifecycle.lock().await;
        let Some(before) = tracked.launch() else {
            return Ok(());
        };
        let view = self.store.view(key.name());
        let older = before.credential.generation > credential.generation;
        if older || view.deployment.is_none() {
            return Ok(());
        }
        let launch = LaunchSpec {
            server: before.server,
            credential: Arc::new(credential.clone()),
        };
        self.book.hide(key, &launch);
        tracked.headers.set(headers(&launch.server, credential)?);
        let refreshed = self.write_values(key, &launch).await;
        refreshed.map_err(|error| self.about(key, error))?;
        tracked.set_launch(&launch);
        Ok(())
    }

    async fn write_values(&self, key: &InstanceKey, launch: &LaunchSpec) -> Result<()> {
        let owner = self.owner.any().await?;
        let (options, inside) = (&self.options, self.access.is_inside());
        let rendering = Rendering::new(key, launch, options, inside, &owner);
        let rendering = rendering.map_err(|failed| failed.of(key.server()))?;
        if let Some(secret) = rendering.secret() {
            self.apply_dependent(key.name(), Kind::Secret, &secret, Force::Yes)
                .await?;
            let annotations = json!({ VALUES: rendering.values_digest() });
            self.record(key, self.writer.annotate(key.name(), &annotations).await?);
        }
        Ok(())
    }
}
