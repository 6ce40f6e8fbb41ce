//! Reads and replaces a client's configuration file. Replacement is atomic and keeps a backup.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crate::exit::Failure;

/// Reads the file; `None` if it does not exist.
pub(super) fn read(file: &Path) -> Result<Option<String>, Failure> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::failed(format!("{}: {error}", file.display()))),
    }
}

/// Replaces the file atomically. Returns the path of the backup, if the file existed before.
pub(super) fn replace(file: &Path, was: bool, text: &str) -> Result<Option<PathBuf>, Failure> {
    // Replace the target of a symbolic link, not the link.
    let target = file.canonicalize().unwrap_or_else(|_| file.to_path_buf());
    let written = write(&target, was, text);
    written.map_err(|error| Failure::failed(format!("{}: {error}", file.display())))
}

fn write(target: &Path, was: bool, text: &str) -> std::io::Result<Option<PathBuf>> {
    if let Some(folder) = target
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        fs::create_dir_all(folder)?;
    }
    let backup = if was { Some(backup(target)?) } else { None };
    let beside = beside(target, &format!(".{}.new", std::process::id()));
    let done = File::create_new(&beside).and_then(|mut out| {
        if was {
            out.set_permissions(target.metadata()?.permissions())?;
        }
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        fs::rename(&beside, target)
    });
    if done.is_err() {
        // Best effort: the original error is returned.
        let _ = fs::remove_file(&beside);
    }
    done.map(|()| backup)
}

/// Copies the file, with its permissions, to an unused name.
fn backup(target: &Path) -> std::io::Result<PathBuf> {
    for number in 0..1000 {
        let end = match number {
            0 => ".backup".to_owned(),
            number => format!(".backup{number}"),
        };
        let path = beside(target, &end);
        match File::create_new(&path) {
            Ok(_) => {
                fs::copy(target, &path)?;
                return Ok(path);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(std::io::Error::new(
        ErrorKind::AlreadyExists,
        "there are too many backups beside it",
    ))
}

fn beside(target: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(target.file_name().unwrap_or_default());
    name.push(end);
    target.with_file_name(name)
}
