//! A file that one process holds, and that tells the others who.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::time::SystemTime;

use super::private;

/// A lock that this process holds. It ends with this, also where the process is killed.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Who has the lock.
#[derive(Debug)]
pub(crate) enum Taken {
    /// This process, from now on.
    Ours(Lock),
    /// Another one, as it says of itself.
    By(String),
}

impl Lock {
    /// Takes the lock of this file, which is made where it is not there (0600).
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
        Ok(Taken::Ours(Self { _file: file }))
    }
}

/// What the holder wrote into its lock.
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
