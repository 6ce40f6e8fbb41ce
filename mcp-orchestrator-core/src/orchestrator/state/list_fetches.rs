//! The fetches of lists that are in progress.

use std::sync::{Arc, Weak};

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::catalog::{Changed, ItemKinds, Kept};
use crate::pool::Handle;
use crate::router::ItemKind;

/// Why lists are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FetchReason {
    /// An instance became ready: fetch at once.
    Ready,
    /// The server announced a change: fetch after a pause, and notify clients of these lists.
    Changed(Changed),
    /// A caller needs them: a fetch in progress, or one that just finished, is good enough.
    Asked,
}

impl FetchReason {
    /// Returns the lists whose change clients have to be notified of.
    pub(crate) fn announced(self) -> Changed {
        match self {
            Self::Changed(lists) => lists,
            Self::Ready | Self::Asked => Changed::default(),
        }
    }
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
