//! A slot for at most one instance of a server, owner, revision and scope.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use parking_lot::{Mutex, MutexGuard, RwLock};
use tokio::sync::watch;
use tokio::time::Instant;

use super::handle::{Handle, Lease};
use crate::backoff::delay;
use crate::credential::{Credential, Owner, Revision};
use crate::error::{Error, ErrorKind};
use crate::runtime::{Progress, Scope};

/// The first and the longest delay after an outage of the connection to an instance.
const OUTAGE_DELAYS: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));
/// The first and the longest delay after a failed start.
const START_DELAYS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// The outcome of a start, shared by all waiting callers.
pub(super) type Started = Option<Result<(), Arc<Error>>>;
/// The progress of a start, as text.
pub(super) type Words = watch::Receiver<Arc<str>>;

/// A slot for at most one instance.
pub(crate) struct Slot {
    pub(crate) owner: Owner,
    pub(crate) revision: Revision,
    pub(crate) scope: Scope,
    current: ArcSwapOption<Handle>,
    start: Mutex<StartState>,
    /// Set once the slot has left the table: nothing may start in it any more.
    retired: AtomicBool,
    /// Held while an instance of this slot starts or ends, so that both never happen at once for a key.
    pub(super) life: tokio::sync::Mutex<()>,
}

/// The state of starts in a slot.
#[derive(Default)]
struct StartState {
    running: Option<(watch::Receiver<Started>, Words)>,
    failures: u32,
    /// Consecutive starts that failed because the instance could not be reached.
    outages: u32,
    not_before: Option<Instant>,
    last: Option<Arc<Error>>,
    /// The slot left the table while empty; callers that still hold it must look up the slot again.
    left: bool,
}

/// What a caller that found no instance must do.
pub(super) enum Turn {
    /// Start the instance, and report progress and outcome to the other callers.
    Start(watch::Sender<Started>, Progress),
    /// Wait for the start in progress.
    Wait(watch::Receiver<Started>, Words),
    /// The last start failed recently; the next attempt is allowed after this time.
    Later(Duration, Arc<Error>),
    /// The slot has left the table, where another one takes its place.
    Left,
}

impl Slot {
    fn new(credential: &Credential, scope: Scope) -> Self {
        Self {
            owner: credential.owner.clone(),
            revision: credential.revision.clone(),
            scope,
            current: ArcSwapOption::empty(),
            start: Mutex::default(),
            retired: AtomicBool::new(false),
            life: tokio::sync::Mutex::new(()),
        }
    }

    /// Returns the instance that takes calls.
    pub(crate) fn current(&self) -> Option<Arc<Handle>> {
        self.current.load_full()
    }

    /// Begins a use of the instance that takes calls.
    pub(super) fn lease(&self) -> Option<Lease> {
        Lease::of(self.current.load().as_ref()?)
    }

    /// Directs new calls to this instance. Returns the previous one.
    pub(super) fn set(&self, handle: Arc<Handle>) -> Option<Arc<Handle>> {
        self.current.swap(Some(handle))
    }

    /// Directs no more calls to this instance. Returns `false` if it was not the current one.
    pub(super) fn clear(&self, handle: &Arc<Handle>) -> bool {
        let current = self.current.load();
        let is_current = current
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, handle));
        if !is_current {
            return false;
        }
        let before = self.current.compare_and_swap(&*current, None);
        before
            .as_ref()
            .is_some_and(|before| Arc::ptr_eq(before, handle))
    }

    fn state(&self) -> MutexGuard<'_, StartState> {
        self.start.lock()
    }

    /// Returns `true` if an instance runs or starts here.
    pub(super) fn is_taken(&self) -> bool {
        self.state().running().is_some() || self.current.load().is_some()
    }

    /// Returns `true` if an instance starts here.
    pub(super) fn is_starting(&self) -> bool {
        self.state().running().is_some()
    }

    /// Determines which caller starts the instance.
    pub(super) fn turn(&self) -> Turn {
        let mut state = self.state();
        if state.left {
            return Turn::Left;
        }
        if let Some((result, words)) = state.running() {
            return Turn::Wait(result.clone(), words.clone());
        }
        if state.running.take().is_some() {
            let text = "the start broke off: see the gateway's log";
            state.failed(Arc::new(Error::new(ErrorKind::Internal, text)));
        }
        if let (Some(not_before), Some(last)) = (state.not_before, &state.last) {
            let wait = not_before.saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                return Turn::Later(wait, Arc::clone(last));
            }
        }
        let (sender, receiver) = watch::channel(None);
        let (progress, words) = Progress::channel();
        state.running = Some((receiver, words));
        Turn::Start(sender, progress)
    }

    /// Returns how long the next start must wait.
    pub(super) fn wait(&self) -> Duration {
        let not_before = self.state().not_before;
        not_before.map_or(Duration::ZERO, |at| {
            at.saturating_duration_since(Instant::now())
        })
    }

    /// Records the end of a start. Returns `true` if it failed for another reason than the last one.
    pub(super) fn ended(&self, failure: Option<Arc<Error>>) -> bool {
        let mut state = self.state();
        state.running = None;
        match failure {
            Some(error) => state.failed(error),
            None => {
                (state.outages, state.not_before, state.last) = (0, None, None);
                false
            }
        }
    }

    /// Records that the instance exited soon after its start, so that the next start backs off.
    pub(super) fn crashed(&self, error: Arc<Error>) {
        self.state().failed(error);
    }

    /// Resets the backoff: the instance has run long enough, or an operator asked for another attempt.
    pub(super) fn forgive(&self) {
        let mut state = self.state();
        (state.failures, state.outages) = (0, 0);
        (state.not_before, state.last) = (None, None);
    }

    /// Records that the replacement after a spec change failed; the old instance continues.
    pub(super) fn not_replaced(&self, error: Arc<Error>) {
        self.state().last = Some(error);
    }

    /// Marks the slot as left, unless an instance is starting in it. Returns `true` on success.
    fn leave(&self) -> bool {
        let mut state = self.state();
        state.left = state.running.is_none();
        state.left
    }

    /// Prevents further starts.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// Returns the number of consecutive failed starts.
    pub(super) fn failures(&self) -> u32 {
        self.state().failures
    }

    /// Returns why the last start failed, until a start succeeds or the backoff is reset.
    pub(crate) fn last_failure(&self) -> Option<Arc<Error>> {
        self.state().last.clone()
    }
}

impl StartState {
    /// Returns the start in progress. A start does not count if its task has panicked.
    fn running(&self) -> Option<&(watch::Receiver<Started>, Words)> {
        let running = self.running.as_ref();
        running.filter(|(result, _)| result.has_changed().is_ok())
    }

    /// Records a failure and sets the backoff. The first retry is immediate, later ones wait 1, 2, 4 … 60 seconds. If
    /// only the connection to the instance failed, later retries wait 0.25, 0.5, 1, 2, 2 … seconds.
    ///
    /// Returns `true` if the failure differs from the last one.
    fn failed(&mut self, error: Arc<Error>) -> bool {
        let ((first, longest), failures) = if error.kind() == ErrorKind::Unavailable {
            self.outages = self.outages.saturating_add(1);
            (OUTAGE_DELAYS, self.outages)
        } else {
            self.outages = 0;
            self.failures = self.failures.saturating_add(1);
            (START_DELAYS, self.failures)
        };
        let wait = match failures {
            0 | 1 => Duration::ZERO,
            failures => delay(first, longest, failures - 2),
        };
        self.not_before = Some(Instant::now() + wait);
        let last = self.last.replace(error);
        let now = self.last.as_ref();
        last.zip(now).is_none_or(|(last, now)| {
            last.kind() != now.kind() || last.to_string() != now.to_string()
        })
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("owner", &self.owner)
            .field("revision", &self.revision)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

type Key = (Owner, Revision, Scope);

/// The slots of one server. The slot that all callers share is found without hashing.
#[derive(Default)]
pub(super) struct Slots {
    common: ArcSwapOption<Slot>,
    others: RwLock<HashMap<Key, Arc<Slot>>>,
}

impl Slots {
    /// Returns the slot, creating it if necessary.
    pub(super) fn get(&self, credential: &Credential, scope: &Scope) -> Arc<Slot> {
        if let Some(slot) = self.find(credential, scope) {
            return slot;
        }
        let slot = Arc::new(Slot::new(credential, scope.clone()));
        let key = (
            slot.owner.clone(),
            slot.revision.clone(),
            slot.scope.clone(),
        );
        let mut others = self.others.write();
        let slot = Arc::clone(others.entry(key).or_insert(slot));
        if slot.owner == Owner::Organization && slot.scope == Scope::Shared {
            self.common.store(Some(Arc::clone(&slot)));
        }
        slot
    }

    /// Returns the slot, if it exists.
    pub(super) fn find(&self, credential: &Credential, scope: &Scope) -> Option<Arc<Slot>> {
        if *scope == Scope::Shared
            && let Some(common) = &*self.common.load()
            && common.owner == credential.owner
            && common.revision == credential.revision
        {
            return Some(Arc::clone(common));
        }
        let others = self.others.read();
        let key = (
            credential.owner.clone(),
            credential.revision.clone(),
            scope.clone(),
        );
        others.get(&key).cloned()
    }

    /// Returns all slots.
    pub(super) fn all(&self) -> Vec<Arc<Slot>> {
        self.others.read().values().cloned().collect()
    }

    /// Takes the slots of this scope out of the table.
    pub(super) fn take_scope(&self, scope: &Scope) -> Vec<Arc<Slot>> {
        let mut others = self.others.write();
        others
            .extract_if(|(_, _, other), _| other == scope)
            .map(|(_, slot)| slot)
            .collect()
    }

    /// Takes the slots of an owner with any other revision than `current` out of the table.
    pub(super) fn take_others(&self, owner: &Owner, current: Option<&Revision>) -> Vec<Arc<Slot>> {
        self.take(|other, revision| {
            other == owner && Some(revision) != current && *revision != Revision::none()
        })
    }

    /// Takes the slots of an owner's revision out of the table.
    pub(super) fn take_revision(&self, owner: &Owner, revision: &Revision) -> Vec<Arc<Slot>> {
        self.take(|other, of| other == owner && of == revision)
    }

    fn take(&self, is_one: impl Fn(&Owner, &Revision) -> bool) -> Vec<Arc<Slot>> {
        let mut others = self.others.write();
        if let Some(common) = &*self.common.load()
            && is_one(&common.owner, &common.revision)
        {
            self.common.store(None);
        }
        others
            .extract_if(|(owner, revision, _), _| is_one(owner, revision))
            .map(|(_, slot)| slot)
            .collect()
    }

    /// Takes an empty slot out of the table, unless an instance is starting in it.
    pub(super) fn take_unused(&self, slot: &Arc<Slot>) {
        let key = (
            slot.owner.clone(),
            slot.revision.clone(),
            slot.scope.clone(),
        );
        let mut others = self.others.write();
        let known = others
            .get(&key)
            .is_some_and(|known| Arc::ptr_eq(known, slot));
        if known && slot.leave() {
            others.remove(&key);
        }
    }

    /// Takes all slots out of the table.
    pub(super) fn take_all(&self) -> Vec<Arc<Slot>> {
        let mut others = self.others.write();
        self.common.store(None);
        std::mem::take(&mut *others).into_values().collect()
    }
}

#[cfg(test)]
mod tests;
