//! Stores state in a folder: one file per document.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;

use super::{StateStore, private};
use crate::error::{Error, ErrorKind, Result};

/// Suffix of document files, so that a document cannot be named `..` and other files are not taken for documents.
const ENDING: &str = ".doc";

/// Stores documents in a dedicated folder.
///
/// Writes are atomic, even in a crash. The most recent writes before a power failure may be lost.
#[derive(Clone, Debug)]
pub struct FileState(Arc<Folder>);

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    /// The sequence number of the next call that changes something.
    calls: AtomicU64,
    /// The last change of each name, so that a change with a dropped caller cannot undo a later one.
    done: Mutex<HashMap<String, u64>>,
}

impl FileState {
    /// Opens the documents in this folder, which is created if necessary. Blocks on the disk, so call it at startup.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) if the folder cannot be created or read.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        private::make_dir(&path)
            .and_then(|()| private::sweep(&path))
            .map_err(|error| {
                let message = format!("the state folder {} cannot be used", path.display());
                Error::new(ErrorKind::Config, message).with_source(error)
            })?;
        Ok(Self(Arc::new(Folder {
            path,
            calls: AtomicU64::new(0),
            done: Mutex::default(),
        })))
    }

    async fn run<T: Send + 'static>(
        &self,
        name: &str,
        what: &'static str,
        work: impl FnOnce(&Folder, &Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        check(name)?;
        let folder = Arc::clone(&self.0);
        let file = folder.path.join(format!("{name}{ENDING}"));
        let done = tokio::task::spawn_blocking(move || work(&folder, &file)).await;
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            let message = format!("the kept document {name} cannot be {what}");
            Error::new(ErrorKind::Internal, message).with_source(error)
        };
        done.map_err(|error| failed(error.into()))?
            .map_err(|error| failed(error.into()))
    }
}

impl Folder {
    /// Applies a change unless a later call has already changed this name.
    fn change(
        &self,
        name: String,
        call: u64,
        change: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let mut done = self.done.lock();
        if done.get(&name).is_some_and(|last| *last > call) {
            return Ok(());
        }
        change()?;
        done.insert(name, call);
        Ok(())
    }
}

fn check(name: &str) -> Result<()> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-';
    if name.is_empty() || name.len() > 128 || !name.bytes().all(allowed) {
        return Err(Error::new(
            ErrorKind::Internal,
            format!("{name:.128?} is not a name of a document"),
        ));
    }
    Ok(())
}

fn absent_is<T>(result: io::Result<T>, absent: T) -> io::Result<T> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(absent),
        result => result,
    }
}

// === impl StateStore ===

#[async_trait]
impl StateStore for FileState {
    async fn get(&self, name: &str) -> Result<Option<Bytes>> {
        let read = |_: &Folder, file: &Path| {
            absent_is(
                std::fs::read(file).map(|content| Some(content.into())),
                None,
            )
        };
        self.run(name, "read", read).await
    }

    async fn put(&self, name: &str, document: Bytes) -> Result<()> {
        let call = self.0.calls.fetch_add(1, Ordering::Relaxed);
        let key = name.to_owned();
        let write = move |folder: &Folder, file: &Path| {
            let written = private::write(&folder.path, &document)?;
            folder.change(key, call, || written.place(file))
        };
        self.run(name, "written", write).await
    }

    async fn remove(&self, name: &str) -> Result<()> {
        let call = self.0.calls.fetch_add(1, Ordering::Relaxed);
        let key = name.to_owned();
        let remove = move |folder: &Folder, file: &Path| {
            folder.change(key, call, || absent_is(std::fs::remove_file(file), ()))
        };
        self.run(name, "removed", remove).await
    }

    async fn names(&self) -> Result<Vec<String>> {
        let list = |folder: &Folder, _: &Path| {
            let mut names = Vec::new();
            for entry in std::fs::read_dir(&folder.path)? {
                let name = entry?.file_name();
                let name = name.to_str().and_then(|name| name.strip_suffix(ENDING));
                names.extend(name.filter(|name| check(name).is_ok()).map(str::to_owned));
            }
            names.sort_unstable();
            Ok(names)
        };
        self.run("all", "listed", list).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "test-util")]
    #[tokio::test]
    async fn every_store_upholds_the_state_contract() {
        let dir = tempfile::tempdir().unwrap();
        let stores: [Arc<dyn StateStore>; 2] = [
            Arc::new(FileState::open(dir.path().join("kept")).unwrap()),
            Arc::new(super::super::MemoryState::default()),
        ];
        for store in stores {
            crate::testing::state::suite(&*store).await;
        }
    }

    #[tokio::test]
    async fn documents_persist_and_partial_writes_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let state = FileState::open(dir.path()).unwrap();
        state.put("..", Bytes::from_static(b"x")).await.unwrap();
        std::fs::write(dir.path().join("_new-1-1"), "half").unwrap();
        std::fs::write(dir.path().join("other"), "not ours").unwrap();
        let state = FileState::open(dir.path()).unwrap();
        assert_eq!(state.names().await.unwrap(), [".."]);
        assert_eq!(state.get("..").await.unwrap().as_deref(), Some(&b"x"[..]));
        assert!(!dir.path().join("_new-1-1").exists());
        assert!(dir.path().join("other").exists());
    }

    #[tokio::test]
    async fn names_outside_the_directory_are_rejected() {
        let dir = tempfile::tempdir().unwrap();
        let state = FileState::open(dir.path()).unwrap();
        for name in ["", "../x", "a/b", "A", "a_b", &"x".repeat(129)] {
            assert!(state.get(name).await.is_err(), "{name}");
        }
    }

    #[tokio::test]
    async fn earlier_change_does_not_undo_a_later_one() {
        let dir = tempfile::tempdir().unwrap();
        let folder = FileState::open(dir.path()).unwrap().0;
        let file = dir.path().join("a.doc");
        let write = |content: &'static str| std::fs::write(&file, content);
        folder.change("a".into(), 2, || write("later")).unwrap();
        folder.change("a".into(), 1, || write("earlier")).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "later");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn state_files_are_private_to_their_owner() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep").join("kept");
        let state = FileState::open(&path).unwrap();
        state.put("a", Bytes::from_static(b"1")).await.unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join("a.doc"))), (0o700, 0o600));
    }
}
