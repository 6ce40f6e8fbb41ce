//! A set of limited size.

use std::collections::{HashSet, VecDeque};
use std::hash::Hash;

use foldhash::fast::RandomState;

/// The last `N` different values that were inserted. At the limit a new value replaces the oldest one; inserting a known
/// value does not make it newer.
#[derive(Debug)]
pub(crate) struct BoundedSet<T, const N: usize> {
    values: HashSet<T, RandomState>,
    /// Oldest first.
    order: VecDeque<T>,
}

impl<T: Clone + Eq + Hash, const N: usize> BoundedSet<T, N> {
    /// Inserts a value and returns `true` if it was not in the set.
    pub(crate) fn insert(&mut self, value: T) -> bool {
        if !self.values.insert(value.clone()) {
            return false;
        }
        self.order.push_back(value);
        if self.order.len() > N
            && let Some(oldest) = self.order.pop_front()
        {
            self.values.remove(&oldest);
        }
        true
    }

    /// Returns `true` if the value is in the set.
    pub(crate) fn contains(&self, value: &T) -> bool {
        self.values.contains(value)
    }
}

impl<T, const N: usize> Default for BoundedSet<T, N> {
    fn default() -> Self {
        Self {
            values: HashSet::default(),
            order: VecDeque::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_value_is_dropped_at_the_limit() {
        let mut set: BoundedSet<u32, 100> = BoundedSet::default();
        for value in 0..=100 {
            assert!(set.insert(value));
            assert!(!set.insert(value));
        }
        assert!(!set.contains(&0));
        assert!(set.contains(&1) && set.contains(&100));
        assert_eq!((set.values.len(), set.order.len()), (100, 100));
    }

    #[test]
    fn known_value_does_not_become_newer() {
        let mut set: BoundedSet<u32, 2> = BoundedSet::default();
        for value in [1, 2, 1, 3] {
            set.insert(value);
        }
        assert!(!set.contains(&1));
        assert!(set.contains(&2) && set.contains(&3));
    }
}
