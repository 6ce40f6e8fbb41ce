//! The rights that this process has used successfully.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use super::rejection::Right;

/// The rights that this process has used successfully.
#[derive(Debug, Default)]
pub(crate) struct Allowed(Mutex<HashSet<Right>>);

impl Allowed {
    pub(super) fn note(&self, right: Right) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(right);
    }

    pub(super) fn has(&self, right: Right) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains(&right)
    }
}
