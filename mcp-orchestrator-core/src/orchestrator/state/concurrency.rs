//! Concurrency limits: calls per principal and calls per server. Without a limit, nothing is counted.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use foldhash::fast::RandomState;
use futures_util::StreamExt as _;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::call::Reply;
use crate::collections::Sharded;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{PrincipalId, ServerId};
use crate::limits::MAX_PARKED_CALLS_PER_PRINCIPAL;

/// Number of shards of the counts.
const SHARDS: usize = 16;
/// `Retry-After` of a refused call. Calls in flight usually end within this time.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Limits on concurrent use; `None` means unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of calls in flight per principal.
    pub calls_per_principal: Option<NonZeroUsize>,
    /// Maximum number of calls in flight per server, over all principals.
    pub calls_per_server: Option<NonZeroUsize>,
    /// Maximum number of open sessions of legacy clients per principal.
    pub sessions_per_principal: Option<NonZeroUsize>,
    /// Maximum number of running instances per user or team. Instances of the organization are not counted.
    pub instances_per_owner: Option<NonZeroUsize>,
}

impl Limits {
    /// The limits that apply if the configuration sets none.
    pub const CONFIGURED: Self = Self {
        calls_per_principal: NonZeroUsize::new(crate::limits::CALLS_PER_PRINCIPAL),
        calls_per_server: None,
        sessions_per_principal: NonZeroUsize::new(200),
        instances_per_owner: None,
    };
}

/// Counts the calls in flight.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    /// Limit per principal; zero means unlimited.
    own: AtomicUsize,
    /// Limit per server; zero means unlimited.
    all: AtomicUsize,
    principals: Arc<Counts<PrincipalId>>,
    servers: Arc<Counts<ServerId>>,
}

/// Counts one call until it is dropped.
pub(crate) struct CountedCall {
    _principal: Option<Ticket<PrincipalId>>,
    _server: Option<Ticket<ServerId>>,
}

impl InFlight {
    pub(crate) fn new(limits: Limits) -> Self {
        let calls = Self::default();
        calls.set(limits);
        calls
    }

    /// Replaces the limits. They apply to new calls; calls in flight continue.
    pub(crate) fn set(&self, limits: Limits) {
        let number = |most: Option<NonZeroUsize>| most.map_or(0, NonZeroUsize::get);
        self.own
            .store(number(limits.calls_per_principal), Ordering::Relaxed);
        self.all
            .store(number(limits.calls_per_server), Ordering::Relaxed);
    }

    /// Counts a call. Returns `None` if no limit is set.
    pub(crate) fn enter(
        &self,
        principal: &PrincipalId,
        server: &ServerId,
    ) -> Result<Option<CountedCall>> {
        let (principal, server) = (self.of_principal(principal)?, self.of_server(server)?);
        if principal.is_none() && server.is_none() {
            return Ok(None);
        }
        Ok(Some(CountedCall {
            _principal: principal,
            _server: server,
        }))
    }

    /// Counts a call that sends a request to each of these servers: once for its principal, and once per server.
    pub(crate) fn enter_all<'a>(
        &self,
        principal: &PrincipalId,
        servers: impl Iterator<Item = &'a ServerId>,
    ) -> Result<Vec<CountedCall>> {
        let mut counts: Vec<CountedCall> = Vec::new();
        for server in servers {
            let of_principal = match counts.first() {
                None => self.of_principal(principal)?,
                Some(_) => None,
            };
            counts.push(CountedCall {
                _principal: of_principal,
                _server: self.of_server(server)?,
            });
        }
        Ok(counts)
    }

    fn of_principal(&self, principal: &PrincipalId) -> Result<Option<Ticket<PrincipalId>>> {
        let Some(most) = NonZeroUsize::new(self.own.load(Ordering::Relaxed)) else {
            return Ok(None);
        };
        let counted = Counts::take(&self.principals, principal, most);
        counted.map(Some).ok_or_else(|| {
            refused(format!(
                "{principal} has {most} calls in flight, the most that are allowed"
            ))
        })
    }

    fn of_server(&self, server: &ServerId) -> Result<Option<Ticket<ServerId>>> {
        let Some(most) = NonZeroUsize::new(self.all.load(Ordering::Relaxed)) else {
            return Ok(None);
        };
        let counted = Counts::take(&self.servers, server, most);
        counted.map(Some).ok_or_else(|| {
            let text =
                format!("server {server} has {most} calls in flight, the most that are allowed");
            refused(text).with_server(server)
        })
    }
}

fn refused(text: String) -> Error {
    Error::new(ErrorKind::Overloaded, text).with_retry_after(RETRY_AFTER)
}

/// Returns the same reply, and counts the call until the reply ends.
pub(crate) fn counted(reply: Reply, counted: Option<CountedCall>) -> Reply {
    let Some(counted) = counted else {
        return reply;
    };
    match reply.into_ready() {
        Ok(response) => Reply::ready(response),
        Err(stream) => {
            let items = stream.map(move |item| {
                let _in_flight = &counted;
                item
            });
            Reply::stream(items.boxed())
        }
    }
}

/// Maximum number of parked calls per principal.
pub(crate) const PARKED_PER_PRINCIPAL: NonZeroUsize =
    NonZeroUsize::new(MAX_PARKED_CALLS_PER_PRINCIPAL).expect("it is not zero");

/// Limits the calls that wait for a person to act.
pub(crate) struct Parking {
    each: NonZeroUsize,
    principals: Arc<Counts<PrincipalId>>,
    room: Arc<Semaphore>,
}

/// The place of one waiting call, released on drop.
pub(crate) struct ParkingPlace {
    _principal: Ticket<PrincipalId>,
    _room: OwnedSemaphorePermit,
}

impl Parking {
    /// Allows `each` waiting calls per principal and `all` in total.
    pub(crate) fn new(each: NonZeroUsize, all: usize) -> Self {
        Self {
            each,
            principals: Arc::default(),
            room: Arc::new(Semaphore::new(all)),
        }
    }

    /// Takes a place for one more call. Returns `None` if a limit is reached.
    pub(crate) fn enter(&self, principal: &PrincipalId) -> Option<ParkingPlace> {
        Some(ParkingPlace {
            _principal: Counts::take(&self.principals, principal, self.each)?,
            _room: Arc::clone(&self.room).try_acquire_owned().ok()?,
        })
    }
}

/// Counts per key.
#[derive(Debug)]
struct Counts<K> {
    shards: Sharded<Mutex<HashMap<K, usize, RandomState>>, SHARDS>,
    hasher: RandomState,
}

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self {
            shards: Sharded::default(),
            hasher: RandomState::default(),
        }
    }
}

impl<K: Hash + Eq + Clone> Counts<K> {
    /// Adds one to the count of `key`. Returns `None` if it is already `most`.
    fn take(this: &Arc<Self>, key: &K, most: NonZeroUsize) -> Option<Ticket<K>> {
        let mut shard = this.shard(key);
        match shard.get_mut(key) {
            Some(count) if *count >= most.get() => return None,
            Some(count) => *count += 1,
            None => {
                shard.insert(key.clone(), 1);
            }
        }
        drop(shard);
        Some(Ticket {
            counts: Arc::clone(this),
            key: key.clone(),
        })
    }

    fn give_back(&self, key: &K) {
        let mut shard = self.shard(key);
        if let Some(count) = shard.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                shard.remove(key);
            }
        }
    }

    fn shard(&self, key: &K) -> MutexGuard<'_, HashMap<K, usize, RandomState>> {
        self.shards.of_hash(self.hasher.hash_one(key)).lock()
    }
}

/// One counted unit, given back on drop.
struct Ticket<K: Hash + Eq + Clone> {
    counts: Arc<Counts<K>>,
    key: K,
}

impl<K: Hash + Eq + Clone> Drop for Ticket<K> {
    fn drop(&mut self) {
        self.counts.give_back(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_flight(own: usize, all: usize) -> InFlight {
        InFlight::new(Limits {
            calls_per_principal: NonZeroUsize::new(own),
            calls_per_server: NonZeroUsize::new(all),
            ..Limits::default()
        })
    }

    #[test]
    fn call_over_a_limit_is_rejected_until_another_ends() {
        let calls = in_flight(2, 3);
        let user = |name: &str| PrincipalId::new(name).unwrap();
        let git = ServerId::new("git").unwrap();
        let enter = |name: &str| calls.enter(&user(name), &git);
        let (first, second) = (enter("ann").unwrap(), enter("ann").unwrap());
        let error = enter("ann").err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Overloaded);
        assert!(error.to_string().contains("ann has 2 calls"), "{error}");
        assert!(error.retry_after().is_some());
        let third = enter("bob").unwrap();
        let error = enter("bob").err().unwrap();
        assert!(
            error.to_string().contains("server git has 3 calls"),
            "{error}"
        );
        // A call that the second limit refused must not count towards the first.
        drop(third);
        let (third, none) = (enter("bob").unwrap(), enter("bob").err());
        assert!(none.is_some());
        drop((first, second, third));
        let again = [enter("ann"), enter("ann"), enter("bob")];
        assert!(again.iter().all(Result::is_ok));
        drop(again);
        let left = |counts: &Counts<PrincipalId>| -> usize {
            counts.shards.iter().map(|shard| shard.lock().len()).sum()
        };
        assert_eq!(left(&calls.principals), 0);
    }

    #[test]
    fn changed_limit_applies_from_the_next_call() {
        let calls = in_flight(1, 9);
        let (ann, git) = (
            PrincipalId::new("ann").unwrap(),
            ServerId::new("git").unwrap(),
        );
        let first = calls.enter(&ann, &git).unwrap();
        assert!(calls.enter(&ann, &git).is_err());
        calls.set(Limits {
            calls_per_principal: NonZeroUsize::new(2),
            ..Limits::default()
        });
        let second = calls.enter(&ann, &git).unwrap();
        assert!(calls.enter(&ann, &git).is_err());
        calls.set(Limits::default());
        assert!(calls.enter(&ann, &git).unwrap().is_none());
        drop((first, second));
    }

    #[test]
    fn parking_is_limited_per_principal_and_in_total() {
        let parking = Parking::new(NonZeroUsize::new(2).unwrap(), 3);
        let enter = |name: &str| parking.enter(&PrincipalId::new(name).unwrap());
        let (first, second) = (enter("ann"), enter("ann"));
        assert!(first.is_some() && second.is_some() && enter("ann").is_none());
        let third = enter("bob");
        assert!(third.is_some() && enter("eve").is_none());
        drop(first);
        assert!(enter("eve").is_some() && enter("ann").is_some());
    }

    #[test]
    fn without_limits_nothing_is_counted() {
        let calls = InFlight::default();
        let ann = PrincipalId::new("ann").unwrap();
        let git = ServerId::new("git").unwrap();
        assert!(calls.enter(&ann, &git).unwrap().is_none());
    }
}
