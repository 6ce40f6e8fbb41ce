//! Deduplicates status updates: watchers are notified only when a status changes.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::runtime::{InstanceKey, InstanceStatus, Phase, StatusBroadcast};

/// The last reported statuses, by instance name.
#[derive(Debug, Default)]
pub(crate) struct StatusEvents(Mutex<HashMap<String, Last>>);

#[derive(Debug, PartialEq, Eq)]
struct Last {
    key: InstanceKey,
    phase: Phase,
    reason: Option<String>,
    place: Vec<(&'static str, String)>,
}

impl StatusEvents {
    /// Reports a status if it differs from the last one.
    pub(crate) fn report(&self, broadcast: &StatusBroadcast, name: &str, status: InstanceStatus) {
        let last = Last {
            key: status.key.clone(),
            phase: status.phase,
            reason: status.reason.clone(),
            place: status.place.clone(),
        };
        let mut last_statuses = self.0.lock();
        if last_statuses.get(name) != Some(&last) {
            last_statuses.insert(name.to_owned(), last);
            broadcast.set(status);
        }
    }

    /// Reports that an instance is gone.
    pub(crate) fn forget(&self, broadcast: &StatusBroadcast, name: &str) {
        let mut last_statuses = self.0.lock();
        if let Some(last) = last_statuses.remove(name) {
            broadcast.forget(&last.key);
        }
    }
}
