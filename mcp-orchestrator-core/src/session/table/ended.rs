//! The continued sessions that ended.

use std::collections::{HashSet, VecDeque};

use crate::limits::MAX_ENDED_SESSIONS;
use crate::session::sealed_id::IdKey;

/// The ids of continued sessions that ended here. Without this record, such a session would continue once more, because
/// its id stays valid. Bounded: the oldest id is dropped first.
#[derive(Debug, Default)]
pub(super) struct EndedSessions {
    ids: HashSet<IdKey>,
    order: VecDeque<IdKey>,
}

impl EndedSessions {
    pub(super) fn contains(&self, id: &IdKey) -> bool {
        self.ids.contains(id)
    }

    pub(super) fn add(&mut self, id: IdKey) {
        if !self.ids.insert(id) {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > MAX_ENDED_SESSIONS
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_id_is_dropped_at_the_limit() {
        let mut ended = EndedSessions::default();
        let id = |n: usize| {
            let mut id: IdKey = [0; 32];
            id[..8].copy_from_slice(&n.to_be_bytes());
            id
        };
        for n in 0..=MAX_ENDED_SESSIONS {
            ended.add(id(n));
            ended.add(id(n));
        }
        assert!(!ended.contains(&id(0)));
        assert!(ended.contains(&id(1)) && ended.contains(&id(MAX_ENDED_SESSIONS)));
        assert_eq!(
            (ended.ids.len(), ended.order.len()),
            (MAX_ENDED_SESSIONS, MAX_ENDED_SESSIONS)
        );
    }
}
