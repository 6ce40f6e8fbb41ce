//! Verified tokens, keyed by a hash of the whole token and kept until they expire, so that a signature is verified
//! only once.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use sha2::{Digest as _, Sha256};

use crate::auth::Principal;
use crate::collections::Sharded;

/// Number of shards of the tokens.
const SHARDS: usize = 16;

/// What a verified token says.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) principal: Arc<Principal>,
    pub(super) audience: Vec<String>,
    /// When the token expires, in seconds since 1970.
    pub(super) end: u64,
}

/// The hash of a whole token. Its signature alone would not identify the claims.
pub(super) type TokenHash = [u8; 32];

pub(super) fn hash(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}

/// A bounded set of verified tokens. When the young half is full it replaces the old half, so the least recently used
/// tokens are dropped.
///
/// The cache of credentials drops what expires first, which costs a scan of a shard. Here each new token may cause a
/// drop, and a caller with many valid tokens must not make it slow.
#[derive(Debug)]
pub(super) struct Remembered {
    shards: Sharded<Mutex<Halves>, SHARDS>,
    half: usize,
}

#[derive(Debug, Default)]
struct Halves {
    young: HashMap<TokenHash, Arc<Checked>, foldhash::fast::RandomState>,
    old: HashMap<TokenHash, Arc<Checked>, foldhash::fast::RandomState>,
    /// Incremented each time all tokens are forgotten, so that a verification begun before is not stored after.
    era: u64,
}

impl Remembered {
    pub(super) fn new(most: usize) -> Self {
        Self {
            shards: Sharded::default(),
            half: (most / SHARDS / 2).max(1),
        }
    }

    /// Returns what this token says, if it was verified and has not expired.
    pub(super) fn find(&self, token: &TokenHash, now: u64) -> Option<Arc<Checked>> {
        let mut shard = self.shard(token);
        if let Some(checked) = shard.young.get(token) {
            return (now < checked.end).then(|| Arc::clone(checked));
        }
        let checked = shard.old.remove(token)?;
        if now >= checked.end {
            return None;
        }
        self.insert(&mut shard, *token, Arc::clone(&checked));
        Some(checked)
    }

    /// Returns the current era, to be passed to [`keep`](Self::keep).
    pub(super) fn era(&self, token: &TokenHash) -> u64 {
        self.shard(token).era
    }

    /// Remembers a token that was verified in `era`, unless all tokens were forgotten in the meantime.
    pub(super) fn keep(&self, token: TokenHash, era: u64, checked: Arc<Checked>) {
        let mut shard = self.shard(&token);
        if shard.era == era {
            self.insert(&mut shard, token, checked);
        }
    }

    /// Forgets all tokens, as required when a key is removed.
    pub(super) fn forget(&self) {
        for shard in self.shards.iter() {
            let mut shard = shard.lock();
            shard.young.clear();
            shard.old.clear();
            shard.era += 1;
        }
    }

    fn insert(&self, shard: &mut Halves, token: TokenHash, checked: Arc<Checked>) {
        if shard.young.len() >= self.half {
            shard.old = std::mem::take(&mut shard.young);
        }
        shard.young.insert(token, checked);
    }

    fn shard(&self, token: &TokenHash) -> MutexGuard<'_, Halves> {
        self.shards.of_hash(token[0].into()).lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::PrincipalId;

    fn checked(end: u64) -> Arc<Checked> {
        let ann = Principal::user(PrincipalId::new("ann").unwrap(), "jwt");
        Arc::new(Checked {
            principal: Arc::new(ann),
            audience: Vec::new(),
            end,
        })
    }

    #[test]
    fn token_is_cached_until_it_expires_or_the_cache_is_cleared() {
        let tokens = Remembered::new(100);
        let (one, other) = (hash("a.b.c"), hash("a.x.c"));
        let era = tokens.era(&one);
        tokens.keep(one, era, checked(10));
        assert!(tokens.find(&one, 9).is_some());
        assert!(tokens.find(&one, 10).is_none() && tokens.find(&other, 9).is_none());
        tokens.forget();
        assert!(tokens.find(&one, 9).is_none());
        // A verification that began before `forget` is not stored after it.
        tokens.keep(one, era, checked(10));
        assert!(tokens.find(&one, 9).is_none());
    }

    #[test]
    fn recently_used_token_survives_eviction() {
        let tokens = Remembered::new(64 * SHARDS);
        let wanted = hash("wanted");
        tokens.keep(wanted, 0, checked(10));
        for number in 0..10_000 {
            let token = hash(&format!("token {number}"));
            tokens.keep(token, 0, checked(10));
            assert!(tokens.find(&wanted, 1).is_some(), "{number}");
        }
        let kept: usize = tokens
            .shards
            .iter()
            .map(|shard| shard.lock())
            .map(|shard| shard.young.len() + shard.old.len())
            .sum();
        assert!(kept <= 64 * SHARDS, "{kept}");
    }
}
