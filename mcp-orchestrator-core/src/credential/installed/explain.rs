//! Describes an installed credential for `explain`: when it expires, whether it is renewed, and why the last renewal
//! failed.

use std::time::SystemTime;

use super::InstalledResolver;
use super::index::{Held, Renewing};
use crate::server::ServerSpec;
use crate::time::utc;

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
                text.push_str("; it is renewed automatically once it has expired or was rejected");
            }
        }
        if let Some(why) = self.failures.of(&key, credential) {
            text = format!("{text}; the last renewal failed: {why}");
        }
        format!("{text}; it decides")
    }
}
