//! What this process knows of an instance besides what stands in the cluster: who speaks with it, and since when.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use super::diagnose;
use super::facts::{End, PodFacts};
use super::store::View;
use crate::runtime::{Exit, HeaderCell, InstanceKey, LaunchSpec};

/// Between two times that an instance is put back, at least.
const BETWEEN: Duration = Duration::from_secs(1);

/// For the end of a conversation to let go of its connection: on a busy machine more than a second.
const LETS_GO: Duration = Duration::from_secs(5);

/// All instances that were asked for here, by name.
#[derive(Debug, Default)]
pub(super) struct Runs(Mutex<HashMap<String, Arc<Run>>>);

/// One instance.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) key: InstanceKey,
    /// Held by whoever starts, stops or mends it: one at a time.
    pub(super) life: tokio::sync::Mutex<()>,
    /// Counts the wishes that it ends: a start that goes on meanwhile gives way.
    pub(super) stops: watch::Sender<u64>,
    pub(super) headers: HeaderCell,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    launch: Option<LaunchSpec>,
    /// The program that was handed out last.
    handed: Option<String>,
    current: Option<Current>,
    /// Why it ended, until it is put to rest for it.
    ended: Option<String>,
    /// The right to speak with a program, by its container.
    speech: Option<(String, Arc<Semaphore>)>,
    /// What somebody had written when we put it back last.
    put_back: Option<u64>,
    put_back_at: Option<Instant>,
}

/// The program that runs, from when it was handed out to its end.
#[derive(Clone, Debug)]
pub(super) struct Current {
    pub(super) pod: Arc<PodFacts>,
    pub(super) container: String,
    pub(super) exit: watch::Sender<Option<Exit>>,
}

/// The end of a program that was handed out.
#[derive(Debug)]
pub(super) struct Over {
    pub(super) current: Current,
    pub(super) reason: String,
    pub(super) code: Option<i32>,
    /// Whether the pod still stands, and its log can be read; and whether another program runs in it by now.
    pub(super) log: Option<Log>,
}

/// Which log of a pod is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Log {
    Current,
    Previous,
}

// === impl Runs ===

impl Runs {
    /// The one of this key, new where there is none.
    pub(super) fn of(&self, key: &InstanceKey) -> Arc<Run> {
        let mut runs = self.lock();
        let run = runs.entry(key.name().to_owned()).or_insert_with(|| {
            Arc::new(Run {
                key: key.clone(),
                life: tokio::sync::Mutex::default(),
                stops: watch::Sender::default(),
                headers: HeaderCell::default(),
                state: Mutex::default(),
            })
        });
        Arc::clone(run)
    }

    pub(super) fn find(&self, name: &str) -> Option<Arc<Run>> {
        self.lock().get(name).cloned()
    }

    /// Forgets one that is gone, unless somebody has come for it meanwhile.
    pub(super) fn forget(&self, run: &Arc<Run>) {
        let mut runs = self.lock();
        // The map's and the caller's own.
        if Arc::strong_count(run) <= 2 {
            runs.remove(run.key.name());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Run>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Run ===

impl Run {
    /// It was started now.
    pub(super) fn began(&self) {
        let mut state = self.lock();
        state.current = None;
        state.ended = None;
    }

    /// Its program has ended by itself, and it is not put to rest for it yet.
    pub(super) fn note_ended(&self, reason: &str) {
        self.lock().ended = Some(reason.to_owned());
    }

    /// Why its program ended, for the one who puts it to rest for it: none where somebody has, or where it runs again.
    pub(super) fn take_ended(&self) -> Option<String> {
        self.lock().ended.take()
    }

    /// Notes that this program is handed out; whether it is so for the first time.
    pub(super) fn note_handed(&self, container: &str) -> bool {
        let mut state = self.lock();
        let first = state.handed.as_deref() != Some(container);
        state.handed = Some(container.to_owned());
        first
    }

    pub(super) fn launch(&self) -> Option<LaunchSpec> {
        self.lock().launch.clone()
    }

    pub(super) fn set_launch(&self, launch: &LaunchSpec) {
        self.lock().launch = Some(launch.clone());
    }

    /// Whether what somebody has written was not put back yet.
    pub(super) fn is_new_hand(&self, hand: u64) -> bool {
        self.lock().put_back != Some(hand)
    }

    pub(super) fn note_put_back(&self, hand: Option<u64>) {
        let mut state = self.lock();
        state.put_back = hand;
        state.put_back_at = Some(Instant::now());
    }

    /// When it may be put back again.
    pub(super) fn next_put_back(&self) -> Instant {
        let last = self.lock().put_back_at;
        last.map_or_else(Instant::now, |last| last + BETWEEN)
    }

    /// Ends with the program that runs in this pod now.
    pub(super) fn exited(&self, pod: &Arc<PodFacts>) -> BoxFuture<'static, Exit> {
        let container = pod.container.id.clone().unwrap_or_default();
        let mut state = self.lock();
        let known = state
            .current
            .take()
            .filter(|current| current.container == container);
        let current = known.unwrap_or_else(|| Current {
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

    /// The right to be the one who speaks with this program; none where somebody is. Who has just ended is waited for.
    pub(super) async fn hold(&self, container: &str) -> Option<OwnedSemaphorePermit> {
        let speech = {
            let mut state = self.lock();
            let known = state.speech.take().filter(|(of, _)| of == container);
            let speech =
                known.unwrap_or_else(|| (container.to_owned(), Arc::new(Semaphore::new(1))));
            Arc::clone(&state.speech.insert(speech).1)
        };
        let permit = tokio::time::timeout(LETS_GO, speech.acquire_owned()).await;
        permit.ok()?.ok()
    }

    /// The pod of the program that was handed out and is not known to have ended.
    pub(super) fn current(&self) -> Option<Current> {
        self.lock().current.clone()
    }

    /// The end of the program that was handed out, told once.
    pub(super) fn over(&self, view: &View) -> Option<Over> {
        let mut state = self.lock();
        let (reason, code, log) = state.current.as_ref()?.ended(view)?;
        let current = state.current.take()?;
        Some(Over {
            current,
            reason,
            code,
            log,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Current ===

impl Current {
    fn ended(&self, view: &View) -> Option<(String, Option<i32>, Option<Log>)> {
        let Some(pod) = view.pods.iter().find(|pod| pod.uid == self.pod.uid) else {
            return Some(("its pod was deleted".to_owned(), None, None));
        };
        let container = &pod.container;
        // Where the node gives it no id, it is told by running alone.
        let is_current = container.id.as_deref().unwrap_or_default() == self.container;
        if is_current && container.running && !pod.over {
            return None;
        }
        let log = if is_current {
            Log::Current
        } else {
            Log::Previous
        };
        let told = |end: &End| (diagnose::ended(end), Some(end.code), Some(log));
        match container.end_of(&self.container) {
            Some(end) => match &pod.reason {
                Some(reason) => Some((reason.clone(), Some(end.code), Some(log))),
                None => Some(told(end)),
            },
            None if pod.over => {
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
