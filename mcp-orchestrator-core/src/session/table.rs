//! All sessions, in shards so that lookups do not share one lock.

use std::hash::BuildHasher as _;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::{EventBytes, Session};
use foldhash::HashMap;
use foldhash::fast::RandomState;
use parking_lot::{Mutex, MutexGuard, RwLock};

use crate::auth::Principal;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{GatewayId, PrincipalId, SessionId};
use crate::transport::Party;

const SHARDS: usize = 32;
/// `Retry-After` of a principal that has too many sessions.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// All sessions.
#[derive(Debug)]
pub(crate) struct Sessions {
    shards: [RwLock<HashMap<SessionId, Arc<Session>>>; SHARDS],
    hasher: RandomState,
    count: AtomicUsize,
    limit: usize,
    /// Maximum number of sessions per principal; zero means unlimited.
    own_limit: AtomicUsize,
    principals: Mutex<HashMap<PrincipalId, Vec<Arc<Session>>>>,
    event_bytes: EventBytes,
    next_party: AtomicU64,
    parties: RwLock<HashMap<Party, Weak<Session>>>,
}

impl Sessions {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| RwLock::default()),
            hasher: RandomState::default(),
            count: AtomicUsize::new(0),
            limit,
            own_limit: AtomicUsize::new(0),
            principals: Mutex::default(),
            event_bytes: EventBytes::default(),
            // 0 is the engine itself.
            next_party: AtomicU64::new(1),
            parties: RwLock::default(),
        }
    }

    fn shard(&self, id: &SessionId) -> &RwLock<HashMap<SessionId, Arc<Session>>> {
        let hash = self.hasher.hash_one(id);
        &self.shards[usize::try_from(hash % SHARDS as u64).unwrap_or_default()]
    }

    /// Returns a number that no other caller has.
    pub(crate) fn party(&self) -> Party {
        self.next_party.fetch_add(1, Ordering::Relaxed)
    }

    /// Sets the maximum number of sessions per principal; `None` means unlimited. Open sessions stay open.
    pub(crate) fn limit_per_principal(&self, most: Option<NonZeroUsize>) {
        let most = most.map_or(0, NonZeroUsize::get);
        self.own_limit.store(most, Ordering::Relaxed);
    }

    /// Returns the counter of the event bytes of all sessions.
    pub(crate) fn event_bytes(&self) -> EventBytes {
        self.event_bytes.clone()
    }

    fn principals(&self) -> MutexGuard<'_, HashMap<PrincipalId, Vec<Arc<Session>>>> {
        self.principals.lock()
    }

    /// Makes room for another session of this principal. Returns the session that must end for it, if any.
    fn make_room(&self, principal: &PrincipalId) -> Result<Option<Arc<Session>>> {
        let most = self.own_limit.load(Ordering::Relaxed);
        let mut principals = self.principals();
        let Some(own) = principals.get_mut(principal).filter(|_| most > 0) else {
            return Ok(None);
        };
        if own.len() < most {
            return Ok(None);
        }
        let idle = own.iter().enumerate().map(|(at, one)| (one.idle_for(), at));
        let longest = idle.max_by_key(|(idle, at)| (*idle, std::cmp::Reverse(*at)));
        match longest {
            Some((idle, at)) if !idle.is_zero() => Ok(Some(own.remove(at))),
            _ => {
                let text = format!(
                    "{principal} has {most} sessions that are in use, the most that are allowed"
                );
                Err(Error::new(ErrorKind::Overloaded, text).with_retry_after(RETRY_AFTER))
            }
        }
    }

    /// Adds a session. If its principal is at the limit, the least recently used session is removed and returned for
    /// the caller to end.
    pub(crate) fn insert(&self, session: &Arc<Session>) -> Result<Option<Arc<Session>>> {
        let principal = &session.principal.id;
        let ends = self.make_room(principal)?;
        let mut principals = self.principals();
        let own = principals.entry(principal.clone()).or_default();
        own.push(Arc::clone(session));
        drop(principals);
        match self.enter(session) {
            Ok(()) => Ok(ends),
            Err(full) => {
                self.left(session);
                // The session was already removed from its principal's list: add it again.
                if let Some(ends) = ends {
                    self.principals()
                        .entry(ends.principal.id.clone())
                        .or_default()
                        .push(ends);
                }
                Err(full)
            }
        }
    }

    /// Removes a session from its principal's list.
    fn left(&self, session: &Arc<Session>) {
        let mut principals = self.principals();
        if let Some(own) = principals.get_mut(&session.principal.id) {
            own.retain(|other| !Arc::ptr_eq(other, session));
            if own.is_empty() {
                principals.remove(&session.principal.id);
            }
        }
    }

    fn enter(&self, session: &Arc<Session>) -> Result<()> {
        if self.count.fetch_add(1, Ordering::AcqRel) >= self.limit {
            self.count.fetch_sub(1, Ordering::AcqRel);
            let text = format!("{} sessions are open already", self.limit);
            return Err(Error::new(ErrorKind::Overloaded, text).with_retry_after(RETRY_AFTER));
        }
        self.parties
            .write()
            .insert(session.party, Arc::downgrade(session));
        let shard = self.shard(&session.id);
        shard
            .write()
            .insert(session.id.clone(), Arc::clone(session));
        Ok(())
    }

    /// Returns the session if it belongs to this principal and gateway. A session of another principal reads as not
    /// found.
    pub(crate) fn get(
        &self,
        id: &SessionId,
        principal: &Principal,
        gateway: &GatewayId,
    ) -> Result<Arc<Session>> {
        let shard = self.shard(id).read();
        let found = shard.get(id).filter(|session| {
            session.principal.id == principal.id
                && session.principal.kind == principal.kind
                && session.gateway == *gateway
        });
        found
            .cloned()
            .ok_or_else(|| Error::new(ErrorKind::SessionNotFound, "no such session"))
    }

    /// Removes a session.
    pub(crate) fn remove(&self, id: &SessionId) -> Option<Arc<Session>> {
        let removed = self.shard(id).write().remove(id);
        if let Some(session) = &removed {
            self.count.fetch_sub(1, Ordering::AcqRel);
            self.left(session);
            self.parties.write().remove(&session.party);
        }
        removed
    }

    /// Returns the session with this party number.
    pub(crate) fn by_party(&self, party: Party) -> Option<Arc<Session>> {
        self.parties.read().get(&party).and_then(Weak::upgrade)
    }

    /// Returns all sessions.
    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        let shard = |shard: &RwLock<HashMap<_, Arc<Session>>>| {
            shard.read().values().cloned().collect::<Vec<_>>()
        };
        self.shards.iter().flat_map(shard).collect()
    }

    /// Returns the number of sessions.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }
}
