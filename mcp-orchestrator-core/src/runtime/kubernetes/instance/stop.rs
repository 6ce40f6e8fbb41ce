//! Stopping and removing instances.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::event_queue::Happened;
use super::start::headers;
use super::tracked::{Log, Run};
use crate::credential::Credential;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::kubernetes::kind::Kind;
use crate::runtime::kubernetes::names::{FAILURE, VALUES, pull_secret};
use crate::runtime::kubernetes::observe::objects::PodFacts;
use crate::runtime::kubernetes::observe::status::{Standing, judge};
use crate::runtime::kubernetes::render::Rendering;
use crate::runtime::kubernetes::shared::Shared;
use crate::runtime::kubernetes::writer::Force;
use crate::runtime::{InstanceKey, LaunchSpec, Progress};

/// How long a removal waits for the initial lists of the watches.
const UNSEEN: Duration = Duration::from_secs(10);

/// How long a pod may take beyond its shortened grace period before the period is shortened again.
const SHORTENED: Duration = Duration::from_secs(8);

impl Shared {
    /// Scales the instance to zero with a single write, if it runs.
    pub(crate) async fn stop(self: &Arc<Self>, key: &InstanceKey, grace: Duration) -> Result<()> {
        self.wait_for_cluster(&Progress::unheard()).await;
        let run = self.runs.of(key);
        run.stops.send_modify(|stops| *stops += 1);
        let _life = run.life.lock().await;
        let view = self.store.view(key.name());
        if view
            .deployment
            .as_ref()
            .is_some_and(|it| !it.deleting && it.replicas != 0)
        {
            let rested = match run.take_ended() {
                Some(reason) => self.rest_ended(&run, &reason).await,
                None => {
                    self.keep_last_log(&run).await;
                    let scaled = self.scale(key, 0, &json!({ FAILURE: null })).await;
                    scaled.map(drop)
                }
            };
            rested.map_err(|error| self.about(key, error))?;
            self.event(key, Happened::Stopped, "scaled to zero until the next call");
        }
        self.come_to_its_end(key, grace, false).await
    }

    /// Waits until the instance has ended, and makes `grace` apply instead of the pod's own, longer grace period.
    ///
    /// The first grace period that the kubelet sees applies: once it waits for a container to terminate, it does not
    /// pick up a shorter one (its `SyncTerminatingPod` ignores that it is cancelled). There is no way to guarantee
    /// that ours comes first. A ReplicaSet that is scaled to zero deletes the pod with the pod's own grace period; a
    /// pod that is deleted before that gets a replacement, which would run alongside it; and the pod's own grace
    /// period is immutable. So the pod is deleted right after the scale-down, which in most cases is before the
    /// kubelet begins.
    async fn come_to_its_end(
        self: &Arc<Self>,
        key: &InstanceKey,
        grace: Duration,
        gone: bool,
    ) -> Result<()> {
        let seconds = u32::try_from(grace.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
        // At least two seconds, so that the period can be shortened once more.
        let seconds = seconds.max(2);
        self.hurry(key, seconds).await?;
        let patience = grace.saturating_add(SHORTENED);
        let over = tokio::time::timeout(patience, self.over(key, grace, gone));
        if let Ok(over) = over.await {
            return over;
        }
        // A kubelet that already waits for the pod's own grace period sometimes misses a shorter one. If it misses
        // the second one as well, the pod's own period applies after all.
        self.hurry(key, seconds - 1).await?;
        self.over(key, grace, gone).await
    }

    /// Shortens the termination of pods that have a longer grace period than this many seconds.
    async fn hurry(&self, key: &InstanceKey, seconds: u32) -> Result<()> {
        let pods = self.store.view(key.name()).pods;
        let slower = |pod: &&Arc<PodFacts>| !pod.over && pod.grace > i64::from(seconds);
        for pod in pods.iter().filter(slower) {
            let ended = self.writes.end_pod(&pod.name, &pod.uid, seconds).await;
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
        let seen = tokio::time::timeout(UNSEEN, self.wait_for_cluster(&unheard)).await;
        seen.map_err(|_| {
            let text = "the cluster does not say what there is, so nothing is taken away";
            self.about(key, Error::new(ErrorKind::Unavailable, text))
        })?;
        let run = self.runs.of(key);
        run.stops.send_modify(|stops| *stops += 1);
        let life = run.life.lock().await;
        let view = self.store.view(key.name());
        let name = key.name();
        let written = run.launch().is_some();
        if let Some(deployment) = &view.deployment {
            self.event(
                key,
                Happened::Removed,
                "the instance and its secrets are removed: nothing needs them any more",
            );
            if deployment.key.as_ref().is_some_and(|other| other != key) {
                return Ok(());
            }
            let deleted = self
                .writes
                .delete(Kind::Deployment, name, Some(&deployment.uid))
                .await;
            deleted.map_err(|error| self.about(key, error))?;
        } else if written {
            // A Deployment that has lost its labels is not visible to the watches.
            let deleted = self.writes.delete(Kind::Deployment, name, None).await;
            deleted.map_err(|error| self.about(key, error))?;
        }
        if view.deployment.is_some() || !view.pods.is_empty() || written {
            self.come_to_its_end(key, grace, true).await?;
            let pull = pull_secret(key);
            // These are deleted after the pod, so that a terminating pod does not lose its NetworkPolicy.
            let rest = [
                (Kind::Secret, name),
                (Kind::Secret, pull.as_str()),
                (Kind::NetworkPolicy, name),
                (Kind::Service, name),
            ];
            let deleted = rest.map(|(kind, name)| self.writes.delete(kind, name, None));
            let deleted = futures_util::future::try_join_all(deleted).await;
            deleted.map_err(|error| self.about(key, error))?;
        }
        self.beside.forget(name);
        self.book.forget(key);
        drop(life);
        self.runs.forget(&run);
        Ok(())
    }

    /// Waits until no pod of the instance is left, and with `gone` until the Deployment is deleted as well.
    async fn over(self: &Arc<Self>, key: &InstanceKey, grace: Duration, gone: bool) -> Result<()> {
        let patience = grace
            .saturating_mul(2)
            .saturating_add(self.options.stop_patience);
        let mut bell = self.store.bell(key.name());
        let over = async {
            loop {
                bell.borrow_and_update();
                match judge(&self.store.view(key.name())) {
                    Standing::Absent => return,
                    Standing::Resting(_) if !gone => return,
                    _ => {}
                }
                // Never fails: the store holds the sender.
                let _ = bell.changed().await;
            }
        };
        let over = tokio::time::timeout(patience, over).await;
        self.look(key.name());
        over.map_err(|_| {
            let text = format!(
                "instance {key} still runs {} s after its stop",
                patience.as_secs()
            );
            self.about(key, Error::new(ErrorKind::Unavailable, text))
        })
    }

    /// Stores the last lines of a pod, because its log is deleted with it.
    async fn keep_last_log(&self, run: &Run) {
        if let Some(current) = run.current() {
            self.keep_log(&run.key, &current.pod.name, Log::Current)
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
        let Some(run) = self.runs.find(key.name()) else {
            return Ok(());
        };
        let _life = run.life.lock().await;
        let Some(before) = run.launch() else {
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
        run.headers.set(headers(&launch.server, credential)?);
        let refreshed = self.write_values(key, &launch).await;
        refreshed.map_err(|error| self.about(key, error))?;
        run.set_launch(&launch);
        Ok(())
    }

    async fn write_values(&self, key: &InstanceKey, launch: &LaunchSpec) -> Result<()> {
        let owner = self.owner.any().await?;
        let (options, inside) = (&self.options, self.access.is_inside());
        let rendering = Rendering::new(key, launch, options, inside, &owner);
        let rendering = rendering.map_err(|failed| failed.of(key.server()))?;
        if let Some(secret) = rendering.secret() {
            self.apply_beside(key.name(), Kind::Secret, &secret, Force::Yes)
                .await?;
            let annotations = json!({ VALUES: rendering.values_digest() });
            self.learn(key, self.writes.annotate(key.name(), &annotations).await?);
        }
        Ok(())
    }
}
