//! A running instance: its link and its uses.

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Spec;
use super::announcements::Announcements;
use super::connection::Link;
use super::reachability::Reach;
use super::token_expiry::TokenExpiry;
use crate::credential::{Credential, Generation};
use crate::error::Error;
use crate::runtime::{Exit, InstanceKey};

/// Bit of the use count that is set once no new use may begin.
const CLOSED: usize = 1 << (usize::BITS - 1);
/// Bit of the use count that is set once something waits for the last use to end, which few instances ever have.
const WAITED_FOR: usize = CLOSED >> 1;
const COUNT: usize = !(CLOSED | WAITED_FOR);

/// A running instance.
pub(crate) struct Handle {
    /// Identifies the instance.
    pub(crate) key: InstanceKey,
    /// The spec it was started from.
    pub(crate) spec: Arc<Spec>,
    /// The credential it was started with.
    pub(crate) credential: Arc<Credential>,
    /// The connection to its server.
    pub(crate) link: Link,
    /// The outcome of the last attempt to connect.
    pub(crate) reach: Arc<Reach>,
    /// Why its lists could not be fetched, where the last attempt failed.
    pub(crate) list_failure: ArcSwapOption<Error>,
    pub(crate) announcements: Announcements,
    /// `true` if the instance ran before and was reattached.
    pub(crate) joined: bool,
    /// Time that its start took.
    pub(crate) start_time: Duration,
    /// When this handle was created: at the start of the instance, or when it was reattached.
    pub(crate) since: SystemTime,
    /// Resolves when the instance exits.
    pub(crate) exited: Shared<BoxFuture<'static, Exit>>,
    /// How the instance exited, once it has.
    pub(crate) exit: OnceLock<Exit>,
    /// Held while a newer generation of the credential is passed to the instance.
    pub(super) refreshing: tokio::sync::Mutex<()>,
    generation: AtomicU64,
    /// Expiry and use of the token that the instance holds.
    pub(super) token: TokenExpiry,
    uses: AtomicUsize,
    served: AtomicU64,
    started: Instant,
    /// Milliseconds from `started` to the end of the last use.
    last_use: AtomicU64,
    idle: Notify,
    /// The lowest log level that any session requested.
    level: Mutex<Option<String>>,
}

impl Handle {
    #[expect(clippy::too_many_arguments, reason = "what it is made of, once")]
    pub(super) fn new(
        key: InstanceKey,
        spec: Arc<Spec>,
        credential: Arc<Credential>,
        link: Link,
        exited: Shared<BoxFuture<'static, Exit>>,
        joined: bool,
        start: Duration,
        reach: Arc<Reach>,
    ) -> Self {
        Self {
            reach,
            list_failure: ArcSwapOption::empty(),
            announcements: Announcements::default(),
            key,
            spec,
            refreshing: tokio::sync::Mutex::new(()),
            generation: AtomicU64::new(credential.generation.0),
            token: TokenExpiry::new(&credential, start),
            credential,
            link,
            joined,
            start_time: start,
            since: SystemTime::now(),
            exited,
            exit: OnceLock::new(),
            uses: AtomicUsize::new(0),
            served: AtomicU64::new(0),
            started: Instant::now(),
            last_use: AtomicU64::new(0),
            idle: Notify::new(),
            level: Mutex::default(),
        }
    }

    /// Returns the lowest log level requested so far, including this one.
    pub(crate) fn lowest_level(&self, level: &str, severity: impl Fn(&str) -> usize) -> String {
        let mut lowest = self.level.lock();
        if lowest
            .as_ref()
            .is_none_or(|known| severity(level) < severity(known))
        {
            *lowest = Some(level.to_owned());
        }
        lowest.clone().unwrap_or_default()
    }

    /// Returns the generation of the credential that the instance received last.
    pub(crate) fn generation(&self) -> Generation {
        Generation(self.generation.load(Ordering::Acquire))
    }

    /// Returns `true` if this credential has a newer generation than the instance.
    pub(crate) fn is_behind(&self, credential: &Credential) -> bool {
        self.generation() < credential.generation
    }

    pub(super) fn has(&self, credential: &Credential) {
        self.generation
            .fetch_max(credential.generation.0, Ordering::AcqRel);
        self.token.is_now(credential, self.served());
    }

    /// Returns the number of current uses.
    pub(crate) fn in_use(&self) -> usize {
        self.uses.load(Ordering::Acquire) & COUNT
    }

    /// Returns the number of client requests served.
    pub(crate) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// Returns how long the instance has been idle.
    pub(super) fn idle_for(&self) -> Duration {
        let last = Duration::from_millis(self.last_use.load(Ordering::Acquire));
        self.started.elapsed().saturating_sub(last)
    }

    /// Returns the time since this handle was created.
    pub(super) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns `true` if the instance or its conversation has ended.
    pub(super) fn is_over(&self) -> bool {
        self.exit.get().is_some() || self.link.is_ending() || self.exited.peek().is_some()
    }

    /// Prevents new uses.
    pub(super) fn close(&self) {
        self.uses.fetch_or(CLOSED, Ordering::AcqRel);
    }

    /// Prevents new uses if there is no current one. Returns `true` on success.
    pub(super) fn close_if_idle(&self) -> bool {
        let close =
            |uses: usize| (uses & COUNT == 0 && uses & CLOSED == 0).then_some(uses | CLOSED);
        self.uses
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, close)
            .is_ok()
    }

    /// Waits until there is no current use.
    pub(super) async fn unused(&self) {
        self.uses.fetch_or(WAITED_FOR, Ordering::AcqRel);
        loop {
            let notified = self.idle.notified();
            if self.in_use() == 0 {
                return;
            }
            notified.await;
        }
    }

    fn end_use(&self) {
        let before = self.uses.fetch_sub(1, Ordering::AcqRel);
        if before & WAITED_FOR != 0 && before & COUNT == 1 {
            self.idle.notify_waiters();
        }
    }

    fn last_use_is_now(&self) {
        let ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_use.store(ms, Ordering::Release);
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("key", &self.key)
            .field("in_use", &self.in_use())
            .finish_non_exhaustive()
    }
}

/// One use of an instance. While it exists, the instance is not idle.
#[derive(Debug)]
pub(crate) struct Lease(Arc<Handle>);

impl Lease {
    /// Begins a use. Returns `None` if the instance is closed or has ended.
    pub(crate) fn of(handle: &Arc<Handle>) -> Option<Self> {
        if handle.uses.fetch_add(1, Ordering::AcqRel) & CLOSED != 0 || handle.is_over() {
            handle.end_use();
            return None;
        }
        Some(Self(Arc::clone(handle)))
    }

    /// Counts a client's request. Requests of the engine itself are not counted.
    pub(crate) fn serves(&self) {
        self.0.served.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the instance.
    pub(crate) fn handle(&self) -> &Arc<Handle> {
        &self.0
    }
}

impl Deref for Lease {
    type Target = Handle;
    fn deref(&self) -> &Handle {
        &self.0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.last_use_is_now();
        self.0.end_use();
    }
}

/// Turns an exit future into one that can be awaited many times.
pub(super) fn shared(exited: BoxFuture<'static, Exit>) -> Shared<BoxFuture<'static, Exit>> {
    exited.shared()
}
