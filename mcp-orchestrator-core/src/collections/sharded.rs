//! A table in independently locked parts, so that callers rarely wait for each other.

/// `N` shards of a table. Each is usually a map behind a lock of its own; which kind of lock is up to the table.
///
/// The table hashes a key itself: some keys are hashes already, and some tables use the hash for more than the shard.
#[derive(Debug)]
pub(crate) struct Sharded<S, const N: usize>([S; N]);

impl<S, const N: usize> Sharded<S, N> {
    /// Returns the shard of the keys with this hash.
    pub(crate) fn of_hash(&self, hash: u64) -> &S {
        // The remainder is less than the number of shards.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the remainder is less than a usize"
        )]
        &self.0[(hash % N as u64) as usize]
    }

    /// Returns all shards.
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, S> {
        self.0.iter()
    }
}

impl<S: Default, const N: usize> Default for Sharded<S, N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| S::default()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn hash_always_leads_to_the_same_shard_and_all_shards_are_used() {
        let shards: Sharded<Box<u8>, 16> = Sharded::default();
        let place = |hash| std::ptr::from_ref(shards.of_hash(hash));
        let all: BTreeSet<_> = (0..100).map(place).collect();
        assert_eq!(all, shards.iter().map(std::ptr::from_ref).collect());
        assert_eq!(place(u64::MAX), place(u64::MAX));
    }
}
