//! The rights that this process has used successfully.

use std::collections::HashSet;

use parking_lot::Mutex;

use super::rejection::Right;

/// The rights that this process has used successfully.
#[derive(Debug, Default)]
pub(crate) struct UsedRights(Mutex<HashSet<Right>>);

impl UsedRights {
    pub(super) fn add(&self, right: Right) {
        let mut known = self.0.lock();
        known.insert(right);
    }

    pub(super) fn contains(&self, right: Right) -> bool {
        let known = self.0.lock();
        known.contains(&right)
    }
}
