//! A place for one instance at a time: of one server, owner, revision and scope.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;
use tokio::time::Instant;

use super::handle::{Handle, Lease};
use crate::credential::{Credential, Owner, Revision};
use crate::error::{Error, ErrorKind};
use crate::runtime::{Progress, Scope};

/// The first pause after an outage of the way to an instance.
const OUTAGE_INTERVAL: Duration = Duration::from_millis(250);

/// How a start ended, for all who wait for it.
pub(super) type Started = Option<Result<(), Arc<Error>>>;
/// What a start waits for, in words.
pub(super) type Words = watch::Receiver<Arc<str>>;

/// A place for one instance.
pub(crate) struct Slot {
    pub(crate) owner: Owner,
    pub(crate) revision: Revision,
    pub(crate) scope: Scope,
    current: ArcSwapOption<Handle>,
    start: Mutex<StartState>,
    /// Set where it is out of the table: nothing starts in it any more.
    retired: AtomicBool,
    /// Held while an instance of this slot starts or ends, so that one key never does both.
    pub(super) life: tokio::sync::Mutex<()>,
}

/// What is known of starts.
#[derive(Default)]
struct StartState {
    running: Option<(watch::Receiver<Started>, Words)>,
    failures: u32,
    /// Starts in a row for which there was no way to the instance.
    outages: u32,
    not_before: Option<Instant>,
    last: Option<Arc<Error>>,
    /// Out of the table with nothing in it: who still knows it looks there again.
    left: bool,
}

/// What a caller that found no instance is to do.
pub(super) enum Turn {
    /// Start it, and tell the others: what it waits for, and how it ended.
    Start(watch::Sender<Started>, Progress),
    /// Wait for who starts it.
    Wait(watch::Receiver<Started>, Words),
    /// It failed a moment ago; another try is allowed after this time.
    Later(Duration, Arc<Error>),
    /// The slot is out of the table, where another takes its place.
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

    /// The instance that takes calls.
    pub(crate) fn current(&self) -> Option<Arc<Handle>> {
        self.current.load_full()
    }

    /// A lease of it, where it takes calls.
    pub(super) fn lease(&self) -> Option<Lease> {
        Lease::of(self.current.load().as_ref()?)
    }

    /// From now on calls go to this one; answers the one before.
    pub(super) fn set(&self, handle: Arc<Handle>) -> Option<Arc<Handle>> {
        self.current.swap(Some(handle))
    }

    /// Calls go there no longer; false where they did not before.
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
        self.start.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an instance runs here, or starts.
    pub(super) fn is_taken(&self) -> bool {
        self.state().running().is_some() || self.current.load().is_some()
    }

    /// Whether an instance starts here.
    pub(super) fn is_starting(&self) -> bool {
        self.state().running().is_some()
    }

    /// Whose turn it is to start the instance.
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

    /// How long the next start has to wait.
    pub(super) fn wait(&self) -> Duration {
        let not_before = self.state().not_before;
        not_before.map_or(Duration::ZERO, |at| {
            at.saturating_duration_since(Instant::now())
        })
    }

    /// A start has ended. Returns whether its failure is another one than the last.
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

    /// The instance ended soon after its start: the next one waits a little.
    pub(super) fn crashed(&self, error: Arc<Error>) {
        self.state().failed(error);
    }

    /// The instance has proved itself, or a person asks for another try.
    pub(super) fn forgive(&self) {
        let mut state = self.state();
        (state.failures, state.outages) = (0, 0);
        (state.not_before, state.last) = (None, None);
    }

    /// A changed spec did not start; the instance from before goes on.
    pub(super) fn not_replaced(&self, error: Arc<Error>) {
        self.state().last = Some(error);
    }

    /// Leaves it for good, unless somebody starts an instance in it.
    fn leave(&self) -> bool {
        let mut state = self.state();
        state.left = state.running.is_none();
        state.left
    }

    /// From now on nothing starts here.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// How many starts failed in a row.
    pub(super) fn failures(&self) -> u32 {
        self.state().failures
    }

    /// Why the last start failed, while that keeps the next one waiting.
    pub(crate) fn last_failure(&self) -> Option<Arc<Error>> {
        self.state().last.clone()
    }
}

impl StartState {
    /// The start that is under way. One whose task panicked is not.
    fn running(&self) -> Option<&(watch::Receiver<Started>, Words)> {
        let running = self.running.as_ref();
        running.filter(|(result, _)| result.has_changed().is_ok())
    }

    /// The first try after a failure comes at once, later ones after 1, 2, 4 … 60 seconds. Where only the way to the
    /// instance is missing, the server has not failed: later tries come after 0.25, 0.5, 1, 2, 2 … seconds.
    ///
    /// Returns whether this failure is another one than the last.
    fn failed(&mut self, error: Arc<Error>) -> bool {
        let wait = if error.kind() == ErrorKind::Unavailable {
            self.outages = self.outages.saturating_add(1);
            match self.outages {
                0 | 1 => Duration::ZERO,
                n => OUTAGE_INTERVAL.saturating_mul(1 << (n - 2).min(3)),
            }
        } else {
            self.outages = 0;
            self.failures = self.failures.saturating_add(1);
            match self.failures {
                0 | 1 => Duration::ZERO,
                n => Duration::from_secs(1 << (n - 2).min(6)).min(Duration::from_mins(1)),
            }
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

/// The slots of one server. The one that everybody shares is found without hashing.
#[derive(Default)]
pub(super) struct Slots {
    common: ArcSwapOption<Slot>,
    others: RwLock<HashMap<Key, Arc<Slot>>>,
}

impl Slots {
    /// The slot, made where there is none.
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
        let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
        let slot = Arc::clone(others.entry(key).or_insert(slot));
        if slot.owner == Owner::Organization && slot.scope == Scope::Shared {
            self.common.store(Some(Arc::clone(&slot)));
        }
        slot
    }

    /// The slot, where there is one.
    pub(super) fn find(&self, credential: &Credential, scope: &Scope) -> Option<Arc<Slot>> {
        if *scope == Scope::Shared
            && let Some(common) = &*self.common.load()
            && common.owner == credential.owner
            && common.revision == credential.revision
        {
            return Some(Arc::clone(common));
        }
        let others = self.others.read().unwrap_or_else(PoisonError::into_inner);
        let key = (
            credential.owner.clone(),
            credential.revision.clone(),
            scope.clone(),
        );
        others.get(&key).cloned()
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Arc<Slot>> {
        self.others
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    /// Takes out those of this scope.
    pub(super) fn take_scope(&self, scope: &Scope) -> Vec<Arc<Slot>> {
        let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
        others
            .extract_if(|(_, _, other), _| other == scope)
            .map(|(_, slot)| slot)
            .collect()
    }

    /// Takes out those of an owner whose revision is not this one.
    pub(super) fn take_others(&self, owner: &Owner, current: Option<&Revision>) -> Vec<Arc<Slot>> {
        self.take(|other, revision| {
            other == owner && Some(revision) != current && *revision != Revision::none()
        })
    }

    /// Takes out those of an owner's revision.
    pub(super) fn take_revision(&self, owner: &Owner, revision: &Revision) -> Vec<Arc<Slot>> {
        self.take(|other, of| other == owner && of == revision)
    }

    fn take(&self, is_one: impl Fn(&Owner, &Revision) -> bool) -> Vec<Arc<Slot>> {
        let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
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

    /// Takes out a slot that holds nothing; it stays where somebody starts an instance in it.
    pub(super) fn take_unused(&self, slot: &Arc<Slot>) {
        let key = (
            slot.owner.clone(),
            slot.revision.clone(),
            slot.scope.clone(),
        );
        let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
        let known = others
            .get(&key)
            .is_some_and(|known| Arc::ptr_eq(known, slot));
        if known && slot.leave() {
            others.remove(&key);
        }
    }

    /// Takes out all.
    pub(super) fn take_all(&self) -> Vec<Arc<Slot>> {
        let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
        self.common.store(None);
        std::mem::take(&mut *others).into_values().collect()
    }
}

#[cfg(test)]
mod tests;
