//! A running instance: its conversations, and who uses it.

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Spec;
use super::link::Link;
use super::reach::Reach;
use crate::credential::{Credential, Generation};
use crate::error::Error;
use crate::runtime::{Exit, InstanceKey};

/// Set in the count of uses when no more may begin.
const CLOSED: usize = 1 << (usize::BITS - 1);

/// A running instance.
pub(crate) struct Handle {
    /// Which one.
    pub(crate) key: InstanceKey,
    /// From which spec it was made.
    pub(crate) spec: Arc<Spec>,
    /// With which credential.
    pub(crate) credential: Arc<Credential>,
    /// How it is spoken with.
    pub(crate) link: Link,
    /// Whether it can be connected to.
    pub(crate) reach: Arc<Reach>,
    /// Why its lists could not be fetched, where the last attempt failed.
    pub(crate) list_failure: ArcSwapOption<Error>,
    /// Whether it ran before, and was joined.
    pub(super) joined: bool,
    /// Since when it runs.
    pub(crate) since: SystemTime,
    /// Ends with it.
    pub(crate) exited: Shared<BoxFuture<'static, Exit>>,
    /// How it ended, once it has.
    pub(crate) exit: OnceLock<Exit>,
    /// Held while a newer generation is handed to it.
    pub(super) refreshing: tokio::sync::Mutex<()>,
    generation: AtomicU64,
    /// What is known of the token that it holds.
    pub(super) token: super::token::Token,
    uses: AtomicUsize,
    served: AtomicU64,
    started: Instant,
    /// Milliseconds after `started` at which the last use ended.
    last_use: AtomicU64,
    idle: Notify,
    /// The lowest log level that any session asked for.
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
            key,
            spec,
            refreshing: tokio::sync::Mutex::new(()),
            generation: AtomicU64::new(credential.generation.0),
            token: super::token::Token::new(&credential, start),
            credential,
            link,
            joined,
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

    /// The lower of this log level and what was asked for before.
    pub(crate) fn lowest_level(&self, level: &str, severity: impl Fn(&str) -> usize) -> String {
        let mut lowest = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        if lowest
            .as_ref()
            .is_none_or(|known| severity(level) < severity(known))
        {
            *lowest = Some(level.to_owned());
        }
        lowest.clone().unwrap_or_default()
    }

    /// Which generation of its credential it was given last.
    pub(crate) fn generation(&self) -> Generation {
        Generation(self.generation.load(Ordering::Acquire))
    }

    /// Whether this is a newer generation than it has.
    pub(crate) fn is_behind(&self, credential: &Credential) -> bool {
        self.generation() < credential.generation
    }

    pub(super) fn has(&self, credential: &Credential) {
        self.generation
            .fetch_max(credential.generation.0, Ordering::AcqRel);
        self.token.is_now(credential, self.served());
    }

    /// How many use it now.
    pub(crate) fn in_use(&self) -> usize {
        self.uses.load(Ordering::Acquire) & !CLOSED
    }

    /// How many requests of clients it was given.
    pub(crate) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// For how long nobody has.
    pub(super) fn idle_for(&self) -> Duration {
        let last = Duration::from_millis(self.last_use.load(Ordering::Acquire));
        self.started.elapsed().saturating_sub(last)
    }

    /// For how long it runs.
    pub(super) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Whether it has ended, or its conversation has.
    pub(super) fn is_over(&self) -> bool {
        self.exit.get().is_some() || self.link.is_ending() || self.exited.peek().is_some()
    }

    /// Lets no more uses begin.
    pub(super) fn close(&self) {
        self.uses.fetch_or(CLOSED, Ordering::AcqRel);
    }

    /// Lets no more uses begin, if there is none now.
    pub(super) fn close_if_idle(&self) -> bool {
        self.uses
            .compare_exchange(0, CLOSED, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Ends when nobody uses it.
    pub(super) async fn unused(&self) {
        loop {
            let notified = self.idle.notified();
            if self.in_use() == 0 {
                return;
            }
            notified.await;
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

/// One use of an instance: while it lives, the instance is not idle.
#[derive(Debug)]
pub(crate) struct Lease(Arc<Handle>);

impl Lease {
    /// A use, where more may begin.
    pub(crate) fn of(handle: &Arc<Handle>) -> Option<Self> {
        if handle.uses.fetch_add(1, Ordering::AcqRel) & CLOSED != 0 || handle.is_over() {
            handle.uses.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        Some(Self(Arc::clone(handle)))
    }

    /// Counts it as a client's: what the engine asks for itself is not.
    pub(crate) fn serves(&self) {
        self.0.served.fetch_add(1, Ordering::Relaxed);
    }

    /// The instance itself.
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
        if self.0.uses.fetch_sub(1, Ordering::AcqRel) & !CLOSED == 1 {
            self.0.idle.notify_waiters();
        }
    }
}

/// An exit that many can wait for.
pub(super) fn shared(exited: BoxFuture<'static, Exit>) -> Shared<BoxFuture<'static, Exit>> {
    exited.shared()
}
