//! The state directory: used by one process at a time, and home of the state key.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lock::{Lock, Taken};
use super::{FileState, private};
use crate::error::{Error, ErrorKind, Result};
use crate::seal::StateKey;

pub(super) const LOCK_FILE: &str = "lock";
pub(super) const KEY: &str = "state.key";
const KEY_BYTES: usize = 32;
const DOCUMENTS: &str = "kept";

/// The directory in which an orchestrator keeps its state. It is locked until this value is dropped.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    key: Arc<StateKey>,
    _lock: Lock,
}

/// Why a state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum DirError {
    #[error("state directory {0} is held by {1}: end it, or name another directory by --state-dir")]
    Held(String, String),
    #[error("state directory {0} may be written by everybody (mode {1:03o}): take that right away")]
    Open(String, u32),
    #[error("state key {0} may be read by others (mode {1:03o}): set it to 600")]
    KeyOpen(String, u32),
    #[error(
        "state key {0} belongs to user {1}, the directory to user {2}: give both to the user who runs this"
    )]
    KeyOwner(String, u32, u32),
    #[error(
        "state key {0} has {1} bytes instead of {KEY_BYTES}: put the right one there, or take it away for a new one"
    )]
    KeySize(String, u64),
    #[error("{0} cannot be used")]
    Io(String, #[source] io::Error),
}

impl From<DirError> for Error {
    fn from(error: DirError) -> Self {
        let kind = match &error {
            DirError::Held(..) => ErrorKind::Conflict,
            _ => ErrorKind::Config,
        };
        let new = Self::new(kind, error.to_string());
        match error {
            DirError::Io(_, source) => new.with_source(source),
            _ => new,
        }
    }
}

impl StateDir {
    /// Opens the directory: creates it if necessary (mode 0700), locks it, and reads its key or creates one.
    ///
    /// Blocks on the disk, so call it at startup.
    ///
    /// # Errors
    /// [`Conflict`](ErrorKind::Conflict) if another process holds the directory; the error names the process and
    /// since when. [`Config`](ErrorKind::Config) if the directory or its key cannot be used; both are left unchanged.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        private::make_dir(&path).map_err(|error| unusable(&path, error))?;
        check_dir(&path)?;
        let lock = lock(&path)?;
        private::sweep(&path).map_err(|error| unusable(&path, error))?;
        let key = Arc::new(key(&path)?);
        Ok(Self {
            path,
            key,
            _lock: lock,
        })
    }

    /// Returns the directory's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the state key.
    pub fn key(&self) -> &Arc<StateKey> {
        &self.key
    }

    /// Opens the documents in the directory.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) if their folder cannot be used.
    pub fn documents(&self) -> Result<FileState> {
        FileState::open(self.path.join(DOCUMENTS))
    }
}

pub(super) fn unusable(path: &Path, error: io::Error) -> DirError {
    DirError::Io(path.display().to_string(), error)
}

fn check_dir(path: &Path) -> Result<(), DirError> {
    let metadata = path.metadata().map_err(|error| unusable(path, error))?;
    // Group write access is allowed, because volumes in a cluster are shared by group.
    match private::mode(&metadata) {
        Some(mode) if mode & 0o002 != 0 => Err(DirError::Open(path.display().to_string(), mode)),
        Some(mode) if mode & 0o020 != 0 => {
            let mode = format!("{mode:03o}");
            tracing::warn!(directory = %path.display(), mode, "the group of the state directory may replace what is in it");
            Ok(())
        }
        _ => Ok(()),
    }
}

pub(super) fn lock(dir: &Path) -> Result<Lock, DirError> {
    let path = dir.join(LOCK_FILE);
    match Lock::take(&path) {
        Ok(Taken::Ours(lock)) => Ok(lock),
        Ok(Taken::By(holder)) => Err(DirError::Held(dir.display().to_string(), holder)),
        Err(error) => Err(unusable(&path, error)),
    }
}

fn key(dir: &Path) -> Result<StateKey, DirError> {
    let path = dir.join(KEY);
    let failed = |error| unusable(&path, error);
    let mut file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return make_key(dir, &path),
        file => file.map_err(failed)?,
    };
    let metadata = file.metadata().map_err(failed)?;
    let name = path.display().to_string();
    if let Some(mode) = private::mode(&metadata).filter(|mode| mode & 0o077 != 0) {
        return Err(DirError::KeyOpen(name, mode));
    }
    check_owner(dir, &name, &metadata)?;
    if metadata.len() != KEY_BYTES as u64 {
        return Err(DirError::KeySize(name, metadata.len()));
    }
    let mut bytes = [0; KEY_BYTES];
    file.read_exact(&mut bytes).map_err(failed)?;
    Ok(StateKey::new(bytes))
}

/// The key must be owned by the owner of the directory or by root, since a file's owner can read it.
#[cfg(unix)]
fn check_owner(dir: &Path, name: &str, key: &std::fs::Metadata) -> Result<(), DirError> {
    use std::os::unix::fs::MetadataExt as _;
    let dir = dir.metadata().map_err(|error| unusable(dir, error))?;
    let owner = dir.uid();
    // In a group-writable directory, such as a cluster volume, the directory is often owned by root and the key by
    // the current user.
    let shared = dir.mode() & 0o020 != 0;
    match key.uid() {
        0 => Ok(()),
        own if own == owner || shared => Ok(()),
        other => Err(DirError::KeyOwner(name.to_owned(), other, owner)),
    }
}

#[cfg(not(unix))]
fn check_owner(_: &Path, _: &str, _: &std::fs::Metadata) -> Result<(), DirError> {
    Ok(())
}

fn make_key(dir: &Path, path: &Path) -> Result<StateKey, DirError> {
    let failed = |error| unusable(path, error);
    let key = StateKey::random();
    let written = private::write(dir, key.expose()).map_err(failed)?;
    written.place(path).map_err(failed)?;
    // The key must survive a power failure, because clients will hold data that is sealed with it.
    private::sync_dir(dir).map_err(failed)?;
    Ok(key)
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn state_directory_is_locked_and_the_error_names_the_holder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let first = StateDir::open(&path).unwrap();
        let error = StateDir::open(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        let me = format!("held by process {} since 2", std::process::id());
        assert!(error.to_string().contains(&me), "{error}");
        let key = *first.key().expose();
        drop(first);
        let again = StateDir::open(&path).unwrap();
        assert_eq!(*again.key().expose(), key, "the key is kept");
        assert!(again.documents().is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn key_owned_by_another_user_is_rejected() {
        let dir = tempfile::tempdir().unwrap();
        drop(StateDir::open(dir.path()).unwrap());
        let key = dir.path().join(KEY);
        // Only root may change a file's owner.
        if std::os::unix::fs::chown(&key, Some(12345), None).is_ok() {
            let error = StateDir::open(dir.path()).unwrap_err();
            assert!(error.to_string().contains("user 12345"), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn untrusted_key_is_rejected_and_left_unchanged() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        drop(StateDir::open(dir.path()).unwrap());
        let file = dir.path().join(KEY);
        let mode = |mode| std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        mode(0o640);
        let error = StateDir::open(dir.path()).unwrap_err();
        assert!(error.to_string().contains("mode 640"), "{error}");
        mode(0o600);
        std::fs::write(&file, "short").unwrap();
        let error = StateDir::open(dir.path()).unwrap_err();
        assert!(error.to_string().contains("5 bytes"), "{error}");
        assert_eq!(std::fs::read(&file).unwrap(), b"short");
    }

    #[cfg(unix)]
    #[test]
    fn world_accessible_directory_is_rejected() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).unwrap();
        let error = StateDir::open(dir.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(!dir.path().join(LOCK_FILE).exists());
    }
}
