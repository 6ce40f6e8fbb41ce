//! The removal of a state directory that is no longer in use.

use std::io;
use std::path::{Path, PathBuf};

use super::dir::{self, lock};
use super::lock::Lock;
use crate::error::Result;

/// The names that this crate and its programs create in a state directory. The lock is removed last.
const OURS: [&str; 10] = [
    "kept",
    "instances",
    "secrets",
    "credentials",
    "credentials.key",
    "credentials.key.next",
    "control.sock",
    "control.path",
    dir::KEY,
    dir::LOCK_FILE,
];

/// A state directory that no process holds. No process can take it until this value is dropped.
#[derive(Debug)]
pub struct StateLeftovers {
    path: PathBuf,
    /// The entries that belong to the orchestrator.
    names: Vec<&'static str>,
    _lock: Lock,
}

impl StateLeftovers {
    /// Locks the directory. Returns `None` if it does not exist, or if nothing in it belongs to the orchestrator.
    ///
    /// # Errors
    /// [`Conflict`](crate::ErrorKind::Conflict) if a process holds the directory; the error names the process and
    /// since when. [`Config`](crate::ErrorKind::Config) if the directory cannot be read.
    pub fn find(path: impl Into<PathBuf>) -> Result<Option<Self>> {
        let path = path.into();
        let there = |name: &&str| path.join(name).symlink_metadata().is_ok();
        let names: Vec<_> = OURS.into_iter().filter(there).collect();
        if names.is_empty() {
            return Ok(None);
        }
        let lock = lock(&path)?;
        Ok(Some(Self {
            path,
            names,
            _lock: lock,
        }))
    }

    /// Returns the directory's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the names of the entries that belong to the orchestrator.
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// Deletes the orchestrator's entries, and the directory if it is then empty. Returns `true` if the directory was
    /// deleted.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) with the entry that could not be deleted.
    pub fn remove(self) -> Result<bool> {
        let lock = (!self.names.contains(&dir::LOCK_FILE)).then_some(dir::LOCK_FILE);
        for name in self.names.iter().copied().chain(lock) {
            let path = self.path.join(name);
            let removed = match path.symlink_metadata() {
                Ok(found) if found.is_dir() => std::fs::remove_dir_all(&path),
                Ok(_) => std::fs::remove_file(&path),
                Err(error) => Err(error),
            };
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(dir::unusable(&path, error).into());
                }
                _ => {}
            }
        }
        Ok(std::fs::remove_dir(&self.path).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::state::StateDir;

    #[test]
    fn only_own_files_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        assert!(StateLeftovers::find(&path).unwrap().is_none());
        let state = StateDir::open(&path).unwrap();
        state.documents().unwrap();
        std::fs::create_dir(path.join("secrets")).unwrap();
        std::fs::write(path.join("secrets/jira.token"), "x").unwrap();
        std::fs::write(path.join("notes.txt"), "mine").unwrap();

        let error = StateLeftovers::find(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains("held by process"), "{error}");
        drop(state);

        let remains = StateLeftovers::find(&path).unwrap().unwrap();
        assert_eq!(remains.names(), ["kept", "secrets", "state.key", "lock"]);
        assert!(!remains.remove().unwrap(), "notes.txt is not ours");
        let left: Vec<_> = std::fs::read_dir(&path).unwrap().collect();
        assert_eq!(left.len(), 1);
        assert!(StateLeftovers::find(&path).unwrap().is_none());

        std::fs::remove_file(path.join("notes.txt")).unwrap();
        drop(StateDir::open(&path).unwrap());
        let remains = StateLeftovers::find(&path).unwrap().unwrap();
        assert!(remains.remove().unwrap());
        assert!(!path.exists());
    }
}
