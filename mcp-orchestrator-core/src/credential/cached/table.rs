//! The bounded table of cache entries: sharded maps keyed by hash, so that a look-up does not build a key.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash as _, Hasher};
use std::sync::Arc;

use parking_lot::RwLock;
use tokio::time::Instant;

use super::entry::Entry;
use super::key::Key;
use crate::collections::Sharded;
use crate::credential::CredentialRequest;

const SHARDS: usize = 16;

/// All cache entries. Each hash holds one entry, and its key is compared on look-up, so two keys with the same hash
/// evict each other but are never confused.
pub(super) struct Table {
    hasher: RandomState,
    shards: Sharded<RwLock<HashMap<u64, Arc<Entry>>>, SHARDS>,
    shard_entries: usize,
}

impl Table {
    pub(super) fn new(entries: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            shards: Sharded::default(),
            shard_entries: entries.div_ceil(SHARDS).max(1),
        }
    }

    /// Returns the entry for this request, if there is one.
    pub(super) fn find(&self, request: &CredentialRequest<'_>) -> Option<Arc<Entry>> {
        self.find_hashed(self.hash(request), request)
    }

    /// Returns the entry for this request, creating it if necessary.
    pub(super) fn entry(&self, request: &CredentialRequest<'_>) -> Arc<Entry> {
        let hash = self.hash(request);
        if let Some(entry) = self.find_hashed(hash, request) {
            return entry;
        }
        let mut shard = self.shards.of_hash(hash).write();
        match shard.get(&hash) {
            // Another task created the entry in the meantime.
            Some(entry) if entry.key.is_of(request) => return Arc::clone(entry),
            _ => {}
        }
        make_room(&mut shard, self.shard_entries);
        let entry = Arc::new(Entry::new(Key::new(request)));
        shard.insert(hash, Arc::clone(&entry));
        entry
    }

    /// Drops the entries for which `which` returns `true`.
    pub(super) fn forget(&self, which: impl Fn(&Key) -> bool) {
        for shard in self.shards.iter() {
            let mut shard = shard.write();
            shard.retain(|_, entry| !which(&entry.key));
        }
    }

    fn find_hashed(&self, hash: u64, request: &CredentialRequest<'_>) -> Option<Arc<Entry>> {
        let shard = self.shards.of_hash(hash).read();
        shard
            .get(&hash)
            .filter(|entry| entry.key.is_of(request))
            .cloned()
    }

    fn hash(&self, request: &CredentialRequest<'_>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        request.principal.hash(&mut hasher);
        request.server.id.hash(&mut hasher);
        request.rule.hash(&mut hasher);
        for slot in &request.server.slots {
            slot.name.hash(&mut hasher);
            slot.required.hash(&mut hasher);
        }
        hasher.finish()
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Table")
    }
}

/// Drops entries that are no longer useful; while the shard is still full, drops the entry that expires first.
fn make_room(shard: &mut HashMap<u64, Arc<Entry>>, limit: usize) {
    let now = Instant::now();
    shard.retain(|_, entry| entry.of_use(now).is_some());
    while shard.len() >= limit {
        let first = shard.iter().min_by_key(|(_, entry)| entry.of_use(now));
        let Some(hash) = first.map(|(hash, _)| *hash) else {
            return;
        };
        shard.remove(&hash);
    }
}
