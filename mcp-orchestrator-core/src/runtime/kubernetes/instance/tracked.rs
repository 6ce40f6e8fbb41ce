//! What this process knows about an instance beyond the cluster's objects: its launch, the program that was handed
//! out, and pending repairs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use crate::runtime::kubernetes::observe::diagnose;
use crate::runtime::kubernetes::observe::objects::{ObservedPod, Termination};
use crate::runtime::kubernetes::observe::store::View;
use crate::runtime::{Exit, HeaderCell, InstanceKey, LaunchSpec};

/// Minimum time between two repairs of an instance.
const MIN_REVERT_INTERVAL: Duration = Duration::from_secs(1);

/// How long to wait for a closing connection to be released; on a busy machine this takes more than a second.
const CONNECTION_RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// All instances that this process has been asked for, by name.
#[derive(Debug, Default)]
pub(crate) struct TrackedInstances(Mutex<HashMap<String, Arc<TrackedInstance>>>);

/// An instance.
#[derive(Debug)]
pub(crate) struct TrackedInstance {
    pub(crate) key: InstanceKey,
    /// Held while the instance is started, stopped or repaired: only one of these at a time.
    pub(crate) lifecycle: tokio::sync::Mutex<()>,
    /// Counts the requests to stop; a start in progress gives up when it changes.
    pub(crate) stops: watch::Sender<u64>,
    pub(crate) headers: HeaderCell,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    launch: Option<LaunchSpec>,
    /// The container that was handed out last.
    handed_out: Option<String>,
    current: Option<RunningProgram>,
    /// Why the program ended, until the instance has been scaled to zero for it.
    ended: Option<String>,
    /// The exclusive right to connect to a program, and the ID of its container.
    connection: Option<(String, Arc<Semaphore>)>,
    /// Hash of the foreign changes that were reverted last.
    reverted: Option<u64>,
    reverted_at: Option<Instant>,
}

/// The running program, from the moment it was handed out to its end.
#[derive(Clone, Debug)]
pub(crate) struct RunningProgram {
    pub(crate) pod: Arc<ObservedPod>,
    pub(crate) container: String,
    pub(crate) exit: watch::Sender<Option<Exit>>,
}

/// The end of a program that was handed out.
#[derive(Debug)]
pub(crate) struct ProgramEnd {
    pub(crate) current: RunningProgram,
    pub(crate) reason: String,
    pub(crate) code: Option<i32>,
    /// Which log holds the program's output; `None` if the log is gone.
    pub(crate) log: Option<PodLog>,
}

/// Selects a log of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PodLog {
    Current,
    Previous,
}

// === impl TrackedInstances ===

impl TrackedInstances {
    /// Returns the state of the instance with this key, which is created if it does not exist.
    pub(crate) fn of(&self, key: &InstanceKey) -> Arc<TrackedInstance> {
        let mut instances = self.0.lock();
        let instance = instances.entry(key.name().to_owned()).or_insert_with(|| {
            Arc::new(TrackedInstance {
                key: key.clone(),
                lifecycle: tokio::sync::Mutex::default(),
                stops: watch::Sender::default(),
                headers: HeaderCell::default(),
                state: Mutex::default(),
            })
        });
        Arc::clone(instance)
    }

    pub(crate) fn find(&self, name: &str) -> Option<Arc<TrackedInstance>> {
        self.0.lock().get(name).cloned()
    }

    /// Forgets a removed instance, unless another task uses it.
    pub(crate) fn forget(&self, instance: &Arc<TrackedInstance>) {
        let mut instances = self.0.lock();
        // One reference in the map and one of the caller.
        if Arc::strong_count(instance) <= 2 {
            instances.remove(instance.key.name());
        }
    }
}

// === impl TrackedInstance ===

impl TrackedInstance {
    /// Records that the instance was started now.
    pub(crate) fn reset(&self) {
        let mut state = self.state.lock();
        state.current = None;
        state.ended = None;
    }

    /// Records that the program ended by itself; the instance has yet to be scaled to zero for it.
    pub(crate) fn record_end(&self, reason: &str) {
        self.state.lock().ended = Some(reason.to_owned());
    }

    /// Takes the reason to scale the instance to zero; `None` if that has been done or the program runs again.
    pub(crate) fn take_ended(&self) -> Option<String> {
        self.state.lock().ended.take()
    }

    /// Records that this container is handed out. Returns `true` if it differs from the previous one.
    pub(crate) fn record_hand_out(&self, container: &str) -> bool {
        let mut state = self.state.lock();
        let first = state.handed_out.as_deref() != Some(container);
        state.handed_out = Some(container.to_owned());
        first
    }

    pub(crate) fn launch(&self) -> Option<LaunchSpec> {
        self.state.lock().launch.clone()
    }

    pub(crate) fn set_launch(&self, launch: &LaunchSpec) {
        self.state.lock().launch = Some(launch.clone());
    }

    /// Returns `true` if these foreign changes have not been reverted yet.
    pub(crate) fn is_unreverted(&self, changes: u64) -> bool {
        self.state.lock().reverted != Some(changes)
    }

    pub(crate) fn record_revert(&self, changes: Option<u64>) {
        let mut state = self.state.lock();
        state.reverted = changes;
        state.reverted_at = Some(Instant::now());
    }

    /// Returns when the next repair is allowed.
    pub(crate) fn next_revert(&self) -> Instant {
        let last = self.state.lock().reverted_at;
        last.map_or_else(Instant::now, |last| last + MIN_REVERT_INTERVAL)
    }

    /// Returns a future that resolves when the program that runs in this pod ends.
    pub(crate) fn exited(&self, pod: &Arc<ObservedPod>) -> BoxFuture<'static, Exit> {
        let container = pod.container.id.clone().unwrap_or_default();
        let mut state = self.state.lock();
        let known = state
            .current
            .take()
            .filter(|current| current.container == container);
        let current = known.unwrap_or_else(|| RunningProgram {
            pod: Arc::clone(pod),
            container,
            exit: watch::Sender::new(None),
        });
        let mut exit = current.exit.subscribe();
        state.current = Some(current);
        state.ended = None;
        async move {
            match exit.wait_for(Option::is_some).await {
                Ok(exit) => exit.clone().unwrap_or_default(),
                Err(_) => Exit {
                    reason: "nothing is known of it any more".to_owned(),
                    ..Exit::default()
                },
            }
        }
        .boxed()
    }

    /// Acquires the exclusive right to connect to this program. Waits for a connection that is just closing; returns
    /// `None` if another holder keeps it.
    pub(crate) async fn acquire_connection(&self, container: &str) -> Option<OwnedSemaphorePermit> {
        let connection = {
            let mut state = self.state.lock();
            let known = state.connection.take().filter(|(of, _)| of == container);
            let connection =
                known.unwrap_or_else(|| (container.to_owned(), Arc::new(Semaphore::new(1))));
            Arc::clone(&state.connection.insert(connection).1)
        };
        let permit =
            tokio::time::timeout(CONNECTION_RELEASE_TIMEOUT, connection.acquire_owned()).await;
        permit.ok()?.ok()
    }

    /// Returns the program that was handed out and is not known to have ended.
    pub(crate) fn current(&self) -> Option<RunningProgram> {
        self.state.lock().current.clone()
    }

    /// Returns the end of the program that was handed out; reported only once.
    pub(crate) fn take_end(&self, view: &View) -> Option<ProgramEnd> {
        let mut state = self.state.lock();
        let (reason, code, log) = state.current.as_ref()?.ended(view)?;
        let current = state.current.take()?;
        Some(ProgramEnd {
            current,
            reason,
            code,
            log,
        })
    }
}

// === impl RunningProgram ===

impl RunningProgram {
    fn ended(&self, view: &View) -> Option<(String, Option<i32>, Option<PodLog>)> {
        let Some(pod) = view.pods.iter().find(|pod| pod.uid == self.pod.uid) else {
            return Some(("its pod was deleted".to_owned(), None, None));
        };
        let container = &pod.container;
        // If the node does not report an ID, only the `running` state identifies it.
        let is_current = container.id.as_deref().unwrap_or_default() == self.container;
        if is_current && container.running && !pod.terminated {
            return None;
        }
        let log = if is_current {
            PodLog::Current
        } else {
            PodLog::Previous
        };
        let told = |end: &Termination| (diagnose::ended(end), Some(end.code), Some(log));
        match container.end_of(&self.container) {
            Some(end) => match &pod.reason {
                Some(reason) => Some((reason.clone(), Some(end.code), Some(log))),
                None => Some(told(end)),
            },
            None if pod.terminated => {
                let reason = pod
                    .reason
                    .clone()
                    .unwrap_or_else(|| "its pod has ended".to_owned());
                Some((reason, None, None))
            }
            None if is_current => None,
            None => Some(("its container was replaced".to_owned(), None, None)),
        }
    }
}
