//! The failed renewals of installations.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::credential::{Credential, Generation, InstallationKey, Renewed, Revision};
use crate::error::Result;

/// The failed last renewal of each installation.
#[derive(Default)]
pub(super) struct Failures(Mutex<HashMap<InstallationKey, Failure>>);

struct Failure {
    of: (Revision, Generation),
    why: Arc<str>,
}

impl Failures {
    /// Records the result of a renewal.
    pub(super) fn note(
        &self,
        key: &InstallationKey,
        credential: &Credential,
        renewed: &Result<Renewed>,
    ) {
        let why = match renewed {
            Ok(Renewed::Newer | Renewed::Unstored(_) | Renewed::Ended) => {
                self.0.lock().remove(key);
                return;
            }
            Ok(Renewed::NotNow { why, .. } | Renewed::Stuck { why, .. }) => why.clone(),
            Err(error) => error.to_string(),
        };
        let of = (credential.revision.clone(), credential.generation);
        let why = why.into();
        self.0.lock().insert(key.clone(), Failure { of, why });
    }

    /// Forgets an installation that was removed.
    pub(super) fn forget(&self, key: &InstallationKey) {
        self.0.lock().remove(key);
    }

    pub(super) fn of(&self, key: &InstallationKey, credential: &Credential) -> Option<Arc<str>> {
        let all = self.0.lock();
        let failure = all.get(key)?;
        let is_it = failure.of == (credential.revision.clone(), credential.generation);
        is_it.then(|| Arc::clone(&failure.why))
    }
}
