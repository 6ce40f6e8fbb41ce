//! All sessions, in shards so that lookups do not share one lock.

mod refused_ids;

use std::hash::BuildHasher as _;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use self::refused_ids::RefusedIds;
use super::sealed_id::{IdKey, SealedSession, id_key};
use super::streams::Streams;
use super::{EventBytes, Session};
use foldhash::HashMap;
use foldhash::fast::RandomState;
use parking_lot::{Mutex, MutexGuard, RwLock};

use crate::auth::Principal;
use crate::collections::{BoundedSet, Sharded};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{GatewayId, PrincipalId, SessionId};
use crate::limits::MAX_ENDED_SESSIONS;
use crate::transport::Party;

/// Number of shards of the sessions.
const SHARDS: usize = 32;
/// `Retry-After` of a principal that has too many sessions.
const RETRY_AFTER: Duration = Duration::from_secs(10);

type Shard = RwLock<HashMap<IdKey, Arc<Session>>>;

/// The outcome of the attempt to continue a session of another process.
pub(crate) enum Adopted {
    /// It continues. If its principal was at the limit, another session must end.
    New {
        session: Arc<Session>,
        displaced: Option<Arc<Session>>,
    },
    /// It had been continued already.
    Known(Arc<Session>),
    /// It was continued, and has ended.
    Ended,
}

/// All sessions.
#[derive(Debug)]
pub(crate) struct Sessions {
    shards: Sharded<Shard, SHARDS>,
    hasher: RandomState,
    count: AtomicUsize,
    limit: usize,
    /// Maximum number of sessions per principal; zero means unlimited.
    own_limit: AtomicUsize,
    principals: Mutex<HashMap<PrincipalId, Vec<Arc<Session>>>>,
    event_bytes: EventBytes,
    next_party: AtomicU64,
    /// Identifies this process in the ids of its sessions.
    process: u64,
    /// Continued sessions that ended here. Without this record, such a session would continue once more, because its id
    /// stays valid.
    ended: Mutex<BoundedSet<IdKey, MAX_ENDED_SESSIONS>>,
    refused: Mutex<RefusedIds>,
    parties: RwLock<HashMap<Party, Weak<Session>>>,
}

impl Sessions {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            shards: Sharded::default(),
            hasher: RandomState::default(),
            count: AtomicUsize::new(0),
            limit,
            own_limit: AtomicUsize::new(0),
            principals: Mutex::default(),
            event_bytes: EventBytes::default(),
            // 0 is the engine itself.
            next_party: AtomicU64::new(1),
            process: getrandom::u64().expect("the system has a source of randomness"),
            ended: Mutex::default(),
            refused: Mutex::default(),
            parties: RwLock::default(),
        }
    }

    /// Returns the number that identifies this process in the ids of its sessions.
    pub(crate) fn process(&self) -> u64 {
        self.process
    }

    /// Counts a refused session id. Returns the number of refused ids that were not logged since the last line, or `None`
    /// if this one is not logged either.
    pub(crate) fn count_refused(&self) -> Option<u64> {
        self.refused.lock().count()
    }

    /// Returns `true` if this process opened the session.
    pub(crate) fn is_own(&self, sealed: &SealedSession) -> bool {
        sealed.process == self.process
    }

    /// Creates a session, which is not in the table yet.
    pub(crate) fn create(
        &self,
        (id, sealed): (SessionId, SealedSession),
        caller: (Arc<Principal>, GatewayId),
    ) -> Session {
        // An event number of another process must not be mistaken for one of this process, which come later.
        let first = match self.is_own(&sealed) {
            true => 0,
            false => micros_since_epoch(),
        };
        let streams = Streams::counted_in(self.event_bytes.clone(), first);
        Session::new((id, sealed), caller, self.party(), streams)
    }

    fn shard(&self, id: &IdKey) -> &Shard {
        self.shards.of_hash(self.hasher.hash_one(id))
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
        if let Some(key) = id_key(&session.id) {
            self.shard(&key).write().insert(key, Arc::clone(session));
        }
        Ok(())
    }

    /// Adds a session of another process, unless it was added before.
    pub(crate) fn adopt(&self, session: Arc<Session>) -> Result<Adopted> {
        let Some(key) = id_key(&session.id) else {
            return Ok(Adopted::Ended);
        };
        // Held until the session is in the table, so that requests that arrive together get one session.
        let ended = self.ended.lock();
        if ended.contains(&key) {
            return Ok(Adopted::Ended);
        }
        let known = self.shard(&key).read().get(&key).cloned();
        if let Some(known) = known {
            return Ok(Adopted::Known(known));
        }
        let displaced = self.insert(&session)?;
        Ok(Adopted::New { session, displaced })
    }

    /// Refuses the id of a session that another process opened from now on. Returns `false` if it is refused already.
    pub(crate) fn refuse(&self, id: &SessionId) -> bool {
        let Some(key) = id_key(id) else { return false };
        self.ended.lock().insert(key)
    }

    /// Returns the session if it is in the table and belongs to this principal and gateway.
    pub(crate) fn get(
        &self,
        id: &SessionId,
        principal: &Principal,
        gateway: &GatewayId,
    ) -> Option<Arc<Session>> {
        let key = id_key(id)?;
        let shard = self.shard(&key).read();
        let found = shard.get(&key).filter(|session| {
            session.id == *id
                && session.principal.id == principal.id
                && session.principal.kind == principal.kind
                && session.gateway == *gateway
        });
        found.cloned()
    }

    /// Removes a session.
    pub(crate) fn remove(&self, id: &SessionId) -> Option<Arc<Session>> {
        let key = id_key(id)?;
        let mut ended = self.ended.lock();
        let removed = self.shard(&key).write().remove(&key);
        if let Some(session) = &removed {
            if session.opened_by != self.process {
                ended.insert(key);
            }
            drop(ended);
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

fn micros_since_epoch() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(now.unwrap_or_default().as_micros()).unwrap_or_default()
}
