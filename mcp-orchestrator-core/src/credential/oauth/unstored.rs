//! Renewed tokens that are not stored yet.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::credential::{Generation, InstallationKey, Revision, StoredCredential};
use crate::limits::MAX_UNSTORED_TOKENS;

/// Renewed tokens kept in memory until they are written.
#[derive(Debug, Default)]
pub(super) struct Unstored {
    all: Mutex<HashMap<InstallationKey, Arc<StoredCredential>>>,
    closing: CancellationToken,
}

impl Unstored {
    /// Cancelled when no more writes are attempted.
    pub(super) fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    /// Keeps a token. Returns `false` if the limit is reached.
    pub(super) fn keep(&self, key: &InstallationKey, next: &Arc<StoredCredential>) -> bool {
        let mut all = self.all.lock();
        let fits = all.len() < MAX_UNSTORED_TOKENS || all.contains_key(key);
        if fits {
            all.insert(key.clone(), Arc::clone(next));
        }
        fits
    }

    /// Returns the kept token if it is newer than `seen`.
    pub(super) fn newer(
        &self,
        key: &InstallationKey,
        seen: Option<&(Revision, Generation)>,
    ) -> Option<Arc<StoredCredential>> {
        let all = self.all.lock();
        let kept = all.get(key)?;
        let newer = seen.is_none_or(|(revision, generation)| {
            kept.revision == *revision && kept.generation > *generation
        });
        newer.then(|| Arc::clone(kept))
    }

    pub(super) fn forget(&self, key: &InstallationKey) {
        self.all.lock().remove(key);
    }
}
