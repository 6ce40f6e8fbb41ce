//! History of instances, which is kept after they end.

use parking_lot::{Mutex, MutexGuard};

use crate::id::ServerId;
use crate::limits::MAX_SEEN_INSTANCES;
use crate::runtime::InstanceKey;

/// Instances that have run, in the order of their last change. Bounded.
#[derive(Debug, Default)]
pub(crate) struct InstanceHistory(Mutex<Vec<HistoryEntry>>);

#[derive(Debug)]
struct HistoryEntry {
    key: InstanceKey,
    starts: u64,
    error: Option<String>,
}

impl InstanceHistory {
    fn all_of(&self) -> MutexGuard<'_, Vec<HistoryEntry>> {
        self.0.lock()
    }

    /// Records that an instance is ready.
    pub(crate) fn started(&self, key: &InstanceKey) {
        self.change(key, |one| one.starts += 1);
    }

    /// Records that an instance failed to start or ended by itself.
    pub(crate) fn failed(&self, key: &InstanceKey, why: &str) {
        self.change(key, |one| one.error = Some(why.to_owned()));
    }

    fn change(&self, key: &InstanceKey, change: impl FnOnce(&mut HistoryEntry)) {
        let mut all = self.all_of();
        let known = all.iter().position(|one| one.key == *key);
        let mut one = match known {
            Some(at) => all.remove(at),
            None => HistoryEntry {
                key: key.clone(),
                starts: 0,
                error: None,
            },
        };
        change(&mut one);
        all.push(one);
        if all.len() > MAX_SEEN_INSTANCES {
            all.remove(0);
        }
    }

    /// Returns all instances.
    pub(crate) fn all(&self) -> Vec<InstanceKey> {
        self.all_of().iter().map(|one| one.key.clone()).collect()
    }

    /// Returns the instances of a server.
    pub(crate) fn of(&self, server: &ServerId) -> Vec<InstanceKey> {
        let all = self.all_of();
        let own = all.iter().filter(|one| one.key.server() == server);
        own.map(|one| one.key.clone()).collect()
    }

    /// Returns the number of restarts of a server's instances.
    pub(crate) fn restarts(&self, server: &ServerId) -> u64 {
        let all = self.all_of();
        let own = all.iter().filter(|one| one.key.server() == server);
        own.map(|one| one.starts.saturating_sub(1)).sum()
    }

    /// Returns the last failure of a server's instances.
    pub(crate) fn last_error(&self, server: &ServerId) -> Option<String> {
        let all = self.all_of();
        let mut own = all.iter().rev().filter(|one| one.key.server() == server);
        own.find_map(|one| one.error.clone())
    }
}
