//! The name conflicts and other facts that were logged, so that each is logged once.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use parking_lot::Mutex;

use crate::collections::BoundedSet;
use crate::id::{GatewayId, PrincipalId};
use crate::limits::MAX_LOGGED_CONFLICTS;
use crate::router::Conflict;

/// Conflicts that were already logged, so that each is logged once. Bounded: the oldest entry is dropped first.
///
/// Not a [`BoundedSet`]: an entry is replaced when the conflicts of its gateway and principal change.
#[derive(Debug, Default)]
pub(crate) struct ConflictLog(Mutex<VecDeque<Entry>>);

/// What was logged about one gateway for one principal.
#[derive(Debug)]
struct Entry {
    gateway: GatewayId,
    principal: PrincipalId,
    /// The versions of the lists and of the view that were examined.
    looked_at: (u64, usize),
    /// A hash of the conflicts, because the list can be long.
    found: u64,
}

impl ConflictLog {
    /// Returns `true` if these versions of the lists and the view have not been examined yet, and marks a known entry
    /// as examined.
    pub(crate) fn is_due(
        &self,
        gateway: &GatewayId,
        principal: &PrincipalId,
        now: (u64, usize),
    ) -> bool {
        let mut told = self.0.lock();
        let mut entries = told.iter_mut();
        let known = entries.find(|one| one.gateway == *gateway && one.principal == *principal);
        match known {
            Some(known) => std::mem::replace(&mut known.looked_at, now) != now,
            None => true,
        }
    }

    /// Records the conflicts and returns `true` if they differ from those logged before.
    pub(crate) fn is_new(
        &self,
        gateway: &GatewayId,
        principal: &PrincipalId,
        looked_at: (u64, usize),
        found: &[Conflict],
    ) -> bool {
        let names = found
            .iter()
            .map(|one| (one.kind, &one.name, &one.servers, &one.cause));
        let hash = BuildHasher::hash_one(&FixedState::default(), names.collect::<Vec<_>>());
        let mut told = self.0.lock();
        let known = told
            .iter()
            .position(|one| one.gateway == *gateway && one.principal == *principal);
        let before = known.and_then(|at| told.remove(at));
        told.push_back(Entry {
            gateway: gateway.clone(),
            principal: principal.clone(),
            looked_at,
            found: hash,
        });
        if told.len() > MAX_LOGGED_CONFLICTS {
            told.pop_front();
        }
        !found.is_empty() && before.is_none_or(|before| before.found != hash)
    }
}

/// Facts that were already logged, by a hash. Bounded: the oldest one is dropped first.
#[derive(Debug, Default)]
pub(crate) struct LoggedFacts(Mutex<BoundedSet<u64, MAX_LOGGED_CONFLICTS>>);

impl LoggedFacts {
    /// Records a fact and returns `true` if it was not logged before.
    pub(crate) fn is_new(&self, fact: &impl std::hash::Hash) -> bool {
        let hash = FixedState::default().hash_one(fact);
        self.0.lock().insert(hash)
    }
}
