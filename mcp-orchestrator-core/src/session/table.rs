//! All sessions, found by their ids without a lock that all share.

use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use super::Session;
use foldhash::HashMap;
use foldhash::fast::RandomState;

use crate::auth::Principal;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{GatewayId, SessionId};
use crate::transport::Party;

const SHARDS: usize = 32;

/// All sessions.
#[derive(Debug)]
pub(crate) struct Sessions {
    shards: [RwLock<HashMap<SessionId, Arc<Session>>>; SHARDS],
    hasher: RandomState,
    count: AtomicUsize,
    limit: usize,
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
            // 0 is the engine itself.
            next_party: AtomicU64::new(1),
            parties: RwLock::default(),
        }
    }

    fn shard(&self, id: &SessionId) -> &RwLock<HashMap<SessionId, Arc<Session>>> {
        let hash = self.hasher.hash_one(id);
        &self.shards[usize::try_from(hash % SHARDS as u64).unwrap_or_default()]
    }

    /// A number that no other caller has.
    pub(crate) fn party(&self) -> Party {
        self.next_party.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes a session in.
    pub(crate) fn insert(&self, session: Arc<Session>) -> Result<()> {
        if self.count.fetch_add(1, Ordering::AcqRel) >= self.limit {
            self.count.fetch_sub(1, Ordering::AcqRel);
            let text = format!("{} sessions are open already", self.limit);
            return Err(
                Error::new(ErrorKind::Overloaded, text).with_retry_after(Duration::from_secs(10))
            );
        }
        self.parties
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(session.party, Arc::downgrade(&session));
        let shard = self.shard(&session.id);
        shard
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(session.id.clone(), session);
        Ok(())
    }

    /// The session, where it is this principal's and this gateway's; another's reads as none.
    pub(crate) fn get(
        &self,
        id: &SessionId,
        principal: &Principal,
        gateway: &GatewayId,
    ) -> Result<Arc<Session>> {
        let shard = self
            .shard(id)
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let found = shard.get(id).filter(|session| {
            session.principal.id == principal.id
                && session.principal.kind == principal.kind
                && session.gateway == *gateway
        });
        found
            .cloned()
            .ok_or_else(|| Error::new(ErrorKind::SessionNotFound, "no such session"))
    }

    /// Takes a session out.
    pub(crate) fn remove(&self, id: &SessionId) -> Option<Arc<Session>> {
        let removed = self
            .shard(id)
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
        if let Some(session) = &removed {
            self.count.fetch_sub(1, Ordering::AcqRel);
            self.parties
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&session.party);
        }
        removed
    }

    /// The session with this number.
    pub(crate) fn by_party(&self, party: Party) -> Option<Arc<Session>> {
        self.parties
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&party)
            .and_then(Weak::upgrade)
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        let shard = |shard: &RwLock<HashMap<_, Arc<Session>>>| {
            shard
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .values()
                .cloned()
                .collect::<Vec<_>>()
        };
        self.shards.iter().flat_map(shard).collect()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }
}
