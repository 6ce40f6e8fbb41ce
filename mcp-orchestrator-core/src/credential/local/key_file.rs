//! Keeps a key file consistent with its store.
//!
//! When a store is rekeyed, the new key is first written to a second file, then the store is replaced, then the key
//! file. If this is interrupted at any point, one of the two files opens the store.

use std::path::{Path, PathBuf};

use super::errors::LocalError;
use super::file::check;
use super::key;
use super::key::KeySource;
use crate::seal::StateKey;
use crate::state::private;

/// A new key file that is renamed once its store is in place.
pub(super) struct Waiting {
    from: PathBuf,
    to: PathBuf,
}

impl Waiting {
    /// Replaces the old key file.
    pub(super) fn settle(self) -> Result<(), LocalError> {
        let placed = std::fs::rename(&self.from, &self.to);
        let placed = placed.and_then(|()| private::sync_dir(private::folder_of(&self.to)));
        placed.map_err(|error| {
            let name = KeySource::File(self.from).to_string();
            LocalError::KeyUnread(name, error)
        })
    }
}

/// Returns the store's key from this file. If neither exists, the file is created.
pub(super) fn find(store: &Path, exists: bool, file: &Path) -> Result<StateKey, LocalError> {
    let source = KeySource::File(file.to_owned());
    let refused = match (key::read(file)?, exists) {
        (Some(key), false) => return Ok(key),
        (None, false) => return key::make(file),
        (None, true) => LocalError::KeyMissing(store.display().to_string(), source.to_string()),
        (Some(key), true) => match check(store, &key, &source) {
            Ok(()) => return Ok(key),
            Err(wrong @ LocalError::WrongKey(..)) => wrong,
            Err(error) => return Err(error),
        },
    };
    let waiting = Waiting {
        from: beside(file),
        to: file.to_owned(),
    };
    match key::read(&waiting.from)? {
        Some(key) if check(store, &key, &source).is_ok() => {
            waiting.settle()?;
            Ok(key)
        }
        _ => Err(refused),
    }
}

/// Returns the key for rekeying: the one in this file if it differs from `current`, or else a new one.
pub(super) fn next(
    file: &Path,
    current: &StateKey,
) -> Result<(StateKey, Option<Waiting>), LocalError> {
    match key::read(file)? {
        None => Ok((key::make(file)?, None)),
        Some(other) if other.expose() != current.expose() => Ok((other, None)),
        Some(_) => {
            let waiting = Waiting {
                from: beside(file),
                to: file.to_owned(),
            };
            Ok((key::make(&waiting.from)?, Some(waiting)))
        }
    }
}

fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".next");
    name.into()
}
