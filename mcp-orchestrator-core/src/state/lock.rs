//! A lock file that one process holds and that names its holder.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::time::SystemTime;

use super::private;

/// A lock held by this process. It is released on drop, or when the process is killed.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl Drop for Lock {
    /// Closing the file is not enough: a child that is being spawned has the same open file until it runs its program.
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            tracing::debug!(%error, "a lock was not released before its file was closed");
        }
    }
}

/// Result of taking a lock.
#[derive(Debug)]
pub(crate) enum Taken {
    /// This process now holds the lock.
    Ours(Lock),
    /// Another process holds it, described as in the lock file.
    By(String),
}

impl Lock {
    /// Locks this file, which is created if necessary (mode 0600).
    pub(crate) fn take(path: &Path) -> io::Result<Taken> {
        let mut file = private::open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Taken::By(holder(&mut file))),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let me = format!(
            "process {} since {}\n",
            std::process::id(),
            crate::time::utc(SystemTime::now())
        );
        file.set_len(0)
            .and_then(|()| file.write_all(me.as_bytes()))?;
        Ok(Taken::Ours(Self { file }))
    }
}

/// Reads the holder's description from the lock file.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file
        .rewind()
        .and_then(|()| file.take(200).read_to_string(&mut text));
    match (read, text.trim()) {
        (Ok(_), holder) if !holder.is_empty() => holder.to_owned(),
        _ => "another process".to_owned(),
    }
}
