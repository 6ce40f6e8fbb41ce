//! The fetches of lists that are in progress.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::catalog::{Changed, ItemKinds, Kept};
use crate::pool::Handle;
use crate::router::ItemKind;
use crate::transport::Party;

/// Why lists are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FetchReason {
    /// An instance became ready: fetch at once.
    Ready,
    /// The server announced a change of these lists in the session of this caller: fetch after a pause.
    Changed { lists: Changed, by: Party },
    /// A caller needs them: a fetch in progress, or one that just finished, is good enough.
    Asked,
}

impl FetchReason {
    /// Returns the lists whose change clients have to be notified of. `last` is the last announcement.
    ///
    /// An HTTP server announces each change in every session, of which there are several. Clients are notified once.
    pub(crate) fn announced(self, last: &mut Option<Announcement>) -> Changed {
        let Self::Changed { lists, by } = self else {
            return Changed::default();
        };
        let now = Instant::now();
        if last.is_some_and(|last| last.by != by && now < last.at + SAME_CHANGE) {
            return Changed::default();
        }
        *last = Some(Announcement { by, at: now });
        lists
    }
}

/// Time within which announcements in other sessions are about the same change.
const SAME_CHANGE: Duration = Duration::from_secs(2);

/// An announcement that clients were notified of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Announcement {
    by: Party,
    at: Instant,
}

/// A fetch of lists that is in progress or just finished.
pub(crate) struct ListFetch {
    pub(crate) progress: watch::Receiver<FetchProgress>,
    pub(crate) began: Instant,
    /// The instance to fetch from next, if another fetch was requested.
    pub(crate) again: Option<Weak<Handle>>,
    /// `true` if the next fetch starts without a pause.
    pub(crate) at_once: bool,
    pub(crate) hurry: Arc<Notify>,
    /// The lists whose change the server announced and clients have not been notified of.
    pub(crate) announced: Changed,
    pub(crate) last_announcement: Option<Announcement>,
}

/// Progress of a fetch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FetchProgress {
    pub(crate) hello: bool,
    /// Indexed as [`ItemKind::ALL`]: `true` if this list arrived or failed.
    pub(crate) came: [bool; ItemKind::ALL.len()],
    pub(crate) over: bool,
}

impl FetchProgress {
    pub(crate) fn of(kept: &Kept) -> Self {
        Self {
            hello: true,
            came: ItemKind::ALL.map(|kind| !kept.awaits(&[kind])),
            over: false,
        }
    }

    pub(crate) fn has(&self, kinds: ItemKinds<'_>) -> bool {
        self.over || (self.hello && kinds.iter().all(|kind| self.came[*kind as usize]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn change_that_is_announced_in_several_sessions_is_one() {
        let mut last = None;
        let mut announced = |by: Party| {
            let lists = Changed::ALL;
            FetchReason::Changed { lists, by }
                .announced(&mut last)
                .any()
        };
        assert!(announced(0));
        assert!(!announced(1) && !announced(2));
        assert!(announced(0), "the next change");
        assert!(!announced(1));
        tokio::time::advance(SAME_CHANGE).await;
        assert!(announced(1));
        assert!(!FetchReason::Ready.announced(&mut None).any());
    }
}
