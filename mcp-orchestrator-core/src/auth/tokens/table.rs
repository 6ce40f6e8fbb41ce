//! The tokens of a store by hash, as a snapshot that is read without a lock.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};

use super::record::{TokenInfo, principal};
use crate::auth::{AccessRevision, Principal};
use crate::credential::{Listed, Record, RecordKey, Version};

/// A stored token. It may have expired.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) info: TokenInfo,
    pub(super) principal: Arc<Principal>,
    pub(super) version: Version,
    /// When its last use was recorded, in seconds since 1970.
    written: AtomicU64,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    now: ArcSwap<HashMap<[u8; 32], Arc<Known>>>,
    writing: Mutex<()>,
    revision: AccessRevision,
}

pub(super) fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

impl Known {
    fn new(info: TokenInfo, version: Version) -> Self {
        Self {
            principal: Arc::new(principal(&info.subject)),
            written: AtomicU64::new(info.last_used.map_or(0, seconds)),
            version,
            info,
        }
    }

    /// Returns `true` if a use is due to be recorded. Only one of several concurrent callers gets `true`.
    pub(super) fn is_use_due(&self, now: SystemTime, every: Duration) -> bool {
        let (now, written) = (seconds(now), self.written.load(Ordering::Relaxed));
        now >= written.saturating_add(every.as_secs())
            && self
                .written
                .compare_exchange(written, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

impl Table {
    pub(super) fn revision(&self) -> &AccessRevision {
        &self.revision
    }

    pub(super) fn find(&self, hash: &[u8; 32]) -> Option<Arc<Known>> {
        self.now.load().get(hash).cloned()
    }

    pub(super) fn by_id(&self, id: &str) -> Option<([u8; 32], TokenInfo)> {
        let now = self.now.load();
        let mut all = now.iter();
        let (hash, known) = all.find(|(_, known)| known.info.id == id)?;
        Some((*hash, known.info.clone()))
    }

    pub(super) fn all(&self) -> Vec<TokenInfo> {
        let now = self.now.load();
        let mut all: Vec<_> = now.values().map(|known| known.info.clone()).collect();
        all.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
        all
    }

    pub(super) fn put(&self, key: &RecordKey, record: &Record, version: &Version) {
        if let Some((hash, known)) = read(key, record, version) {
            self.change(|all| drop(all.insert(hash, known)));
        }
    }

    pub(super) fn remove(&self, key: &RecordKey) {
        if let Some(hash) = hash_of(key) {
            self.change(|all| drop(all.remove(&hash)));
            self.revision.advance();
        }
    }

    pub(super) fn replace(&self, listed: &[Listed]) {
        let read = |(key, record, version): &Listed| read(key, record, version);
        let new: HashMap<_, _> = listed.iter().filter_map(read).collect();
        self.change(|all| *all = new);
        self.revision.advance();
    }

    fn change(&self, change: impl FnOnce(&mut HashMap<[u8; 32], Arc<Known>>)) {
        let _one_at_a_time = self.writing.lock();
        let mut all = HashMap::clone(&self.now.load());
        change(&mut all);
        self.now.store(Arc::new(all));
    }
}

fn read(key: &RecordKey, record: &Record, version: &Version) -> Option<([u8; 32], Arc<Known>)> {
    let hash = hash_of(key)?;
    match serde_json::from_str::<TokenInfo>(record.value.expose_secret()) {
        Ok(info) => Some((hash, Arc::new(Known::new(info, version.clone())))),
        Err(error) => {
            tracing::error!(%key, %error, "a stored token cannot be read, so it is not taken");
            None
        }
    }
}

/// Parses the hash from a record's name.
fn hash_of(key: &RecordKey) -> Option<[u8; 32]> {
    let name = key.name.as_str().as_bytes();
    let mut hash = [0; 32];
    if name.len() != 64 {
        return None;
    }
    for (byte, digits) in hash.iter_mut().zip(name.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(hash)
}
