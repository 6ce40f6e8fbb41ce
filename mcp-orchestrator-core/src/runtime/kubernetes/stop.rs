//! To rest, and to nothing.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::Shared;
use super::events::Happened;
use super::facts::PodFacts;
use super::names::{FAILURE, VALUES, pull_secret};
use super::render::Rendering;
use super::runs::{Log, Run};
use super::start::headers;
use super::status::{Standing, judge};
use super::writes::{Force, Kind};
use crate::credential::Credential;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::{InstanceKey, LaunchSpec, Progress};

/// How long something that is to be taken away waits for the first sight of the cluster.
const UNSEEN: Duration = Duration::from_secs(10);

/// How long a pod whose grace was shortened may take beyond that, before it is shortened once more.
const SHORTENED: Duration = Duration::from_secs(8);

impl Shared {
    /// Puts it to rest: one write, where it runs.
    pub(super) async fn stop(self: &Arc<Self>, key: &InstanceKey, grace: Duration) -> Result<()> {
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

    /// Waits for its end, and sees to it that this grace counts and no longer one of the pod's own.
    ///
    /// The grace that the kubelet sees first counts: once it waits for the end of a container, it takes up no shorter one
    /// (its `SyncTerminatingPod` ignores that it is cancelled). That one cannot be made to be ours for sure. A ReplicaSet
    /// whose replicas go to none deletes the pod with the pod's own grace; a pod that is deleted before that gets a
    /// successor, which would run beside it; and a pod's own grace cannot be changed. So the deletion follows the scale at
    /// once, and comes before the kubelet has begun in most cases.
    async fn come_to_its_end(
        self: &Arc<Self>,
        key: &InstanceKey,
        grace: Duration,
        gone: bool,
    ) -> Result<()> {
        let seconds = u32::try_from(grace.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
        // At least two, so that it can be shortened once more.
        let seconds = seconds.max(2);
        self.hurry(key, seconds).await?;
        let patience = grace.saturating_add(SHORTENED);
        let over = tokio::time::timeout(patience, self.over(key, grace, gone));
        if let Ok(over) = over.await {
            return over;
        }
        // A kubelet that has begun to wait for the pod's own grace misses a shorter one now and then. Told of a second one
        // it may still miss it: then the pod's own counts after all.
        self.hurry(key, seconds - 1).await?;
        self.over(key, grace, gone).await
    }

    /// Ends pods sooner that were started with a longer grace than this one, in seconds.
    async fn hurry(&self, key: &InstanceKey, seconds: u32) -> Result<()> {
        let pods = self.store.view(key.name()).pods;
        let slower = |pod: &&Arc<PodFacts>| !pod.over && pod.grace > i64::from(seconds);
        for pod in pods.iter().filter(slower) {
            let ended = self.writes.end_pod(&pod.name, &pod.uid, seconds).await;
            ended.map_err(|error| self.about(key, error))?;
        }
        Ok(())
    }

    /// Leaves nothing of it. What was begun is carried out, also where nobody waits for it.
    pub(super) async fn remove(self: &Arc<Self>, key: &InstanceKey, grace: Duration) -> Result<()> {
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
        // Before the cluster was seen nothing was begun here: what there is ran before, and is not to end for a start
        // that only could not reach it. Whether anybody wants it is seen once the cluster is.
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
            // One that has lost its labels is not seen.
            let deleted = self.writes.delete(Kind::Deployment, name, None).await;
            deleted.map_err(|error| self.about(key, error))?;
        }
        if view.deployment.is_some() || !view.pods.is_empty() || written {
            self.come_to_its_end(key, grace, true).await?;
            let pull = pull_secret(key);
            // They stand as long as the pod does: it shall not become freer while it ends.
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

    /// Waits until nothing of it runs; with `gone` until there is no Deployment either.
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
                // The sender lives in the store.
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

    /// A pod's log goes with it: its last lines are kept for those who ask later.
    async fn keep_last_log(&self, run: &Run) {
        if let Some(current) = run.current() {
            self.keep_log(&run.key, &current.pod.name, Log::Current)
                .await;
        }
    }

    /// Hands a newer generation over: the Secret is rewritten, and the kubelet brings its files up to date.
    pub(super) async fn refresh(
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
