//! Describes an installed credential for `explain`: when it expires, whether it is renewed, and why the last renewal
//! failed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::InstalledResolver;
use super::index::{Held, Renewing};
use crate::credential::{Credential, Generation, InstallationKey, Renewed, Revision};
use crate::error::Result;
use crate::server::ServerSpec;
use crate::time::utc;

/// The failed last renewal of each installation.
#[derive(Default)]
pub(super) struct Failures(Mutex<HashMap<InstallationKey, Failure>>);

struct Failure {
    of: (Revision, Generation),
    why: Arc<str>,
}

impl Failures {
    fn lock(&self) -> MutexGuard<'_, HashMap<InstallationKey, Failure>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the result of a renewal.
    pub(super) fn note(
        &self,
        key: &InstallationKey,
        credential: &Credential,
        renewed: &Result<Renewed>,
    ) {
        let why = match renewed {
            Ok(Renewed::Newer | Renewed::Unstored(_) | Renewed::Ended) => {
                self.lock().remove(key);
                return;
            }
            Ok(Renewed::NotNow { why, .. } | Renewed::Stuck { why, .. }) => why.clone(),
            Err(error) => error.to_string(),
        };
        let of = (credential.revision.clone(), credential.generation);
        let why = why.into();
        self.lock().insert(key.clone(), Failure { of, why });
    }

    /// Forgets an installation that was removed.
    pub(super) fn forget(&self, key: &InstallationKey) {
        self.lock().remove(key);
    }

    fn of(&self, key: &InstallationKey, credential: &Credential) -> Option<Arc<str>> {
        let all = self.lock();
        let failure = all.get(key)?;
        let is_it = failure.of == (credential.revision.clone(), credential.generation);
        is_it.then(|| Arc::clone(&failure.why))
    }
}

impl InstalledResolver {
    /// Returns the line of `explain` for the installation that decides.
    pub(super) fn told(&self, server: &ServerSpec, held: &Held) -> String {
        let credential = &held.credential;
        let key = held.key(server);
        let mut text = format!(
            "{}: installed, revision {} generation {}",
            credential.owner, credential.revision, credential.generation.0
        );
        if let Some(end) = credential.expires_at {
            let word = if end <= SystemTime::now() {
                "ended"
            } else {
                "ends"
            };
            text = format!("{text}; it {word} at {}", utc(end));
        }
        match (&held.renewal, &self.renewal, credential.expires_at) {
            (Renewing::Never, ..) | (_, None, _) => {
                if credential.expires_at.is_some() {
                    text.push_str(" and is not renewed: its owner installs it again");
                }
            }
            (Renewing::Ended(why), ..) => {
                text = format!(
                    "{text}; it cannot be renewed any more, {why}: its owner signs in again"
                );
            }
            (Renewing::Due(Some(due)), ..) => {
                text = format!("{text}; it is renewed by itself, from {} on", utc(*due));
            }
            (Renewing::Due(None), ..) => {
                text.push_str("; it is renewed by itself, once it is over or refused");
            }
        }
        if let Some(why) = self.failures.of(&key, credential) {
            text = format!("{text}; the last renewal failed: {why}");
        }
        format!("{text}; it decides")
    }
}
