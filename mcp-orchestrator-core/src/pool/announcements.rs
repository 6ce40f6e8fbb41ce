//! Announcements of changes by one instance.
//!
//! An HTTP server announces each change in every session, and the gateway has several: its own and those of callers.
//! They are counted per session, so that clients are notified of each change once.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::limits::MAX_ANNOUNCING_SESSIONS;
use crate::transport::Party;

/// Time within which the same change is announced in all sessions.
const SAME_CHANGE: Duration = Duration::from_secs(2);

/// The announcements of an instance, by their method.
#[derive(Debug, Default)]
pub(crate) struct Announcements(Mutex<HashMap<Box<str>, Counts>>);

#[derive(Debug, Default)]
struct Counts {
    /// The number of changes.
    changes: u64,
    /// The number of changes that were announced in each session.
    sessions: HashMap<Party, u64>,
    last: Option<Instant>,
}

impl Announcements {
    /// Returns `true` if this announcement in the session of a caller is the first one of its change. `method` is one
    /// of the protocol's.
    pub(crate) fn is_new(&self, method: &str, by: Party) -> bool {
        let mut all = self.0.lock();
        let counts = match all.get_mut(method) {
            Some(counts) => counts,
            None => all.entry(method.into()).or_default(),
        };
        let now = Instant::now();
        let is_recent = counts.last.is_some_and(|last| now < last + SAME_CHANGE);
        // A session that was opened in between is assumed to have announced the changes before.
        let before = counts.changes.saturating_sub(1);
        let announced = counts.sessions.get(&by).copied().unwrap_or(before) + 1;
        let is_new = !is_recent || announced > counts.changes;
        if is_new {
            counts.changes += 1;
            counts.last = Some(now);
        }
        if counts.sessions.len() >= MAX_ANNOUNCING_SESSIONS {
            counts.sessions.clear();
        }
        let announced = if is_new { counts.changes } else { announced };
        counts.sessions.insert(by, announced);
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn change_that_is_announced_in_several_sessions_is_one() {
        let announcements = Announcements::default();
        let is_new = |by: Party| announcements.is_new("tools", by);
        assert!(is_new(0));
        assert!(!is_new(1) && !is_new(2));
        // The next change, first announced in another session.
        assert!(is_new(1));
        assert!(!is_new(0) && !is_new(2) && !is_new(3));
        assert!(announcements.is_new("prompts", 0));
        assert!(!announcements.is_new("prompts", 1));
        // Two changes that reach one session before the other.
        assert!(is_new(2) && is_new(2));
        assert!(!is_new(0) && !is_new(1) && !is_new(0) && !is_new(1));
        tokio::time::advance(SAME_CHANGE).await;
        // Session 0 has missed announcements meanwhile.
        assert!(is_new(3) && is_new(3));
        tokio::time::advance(SAME_CHANGE).await;
        assert!(is_new(0));
        assert!(!is_new(3));
    }
}
