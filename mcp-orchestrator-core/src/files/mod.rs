//! Reads and opens files that an operator names, without waiting forever.
//!
//! Such a file may be a pipe: a shell passes the output of a command as one, and password managers mount files of
//! secrets as pipes. Opening a pipe waits for the other end, and reading it waits for the writer. Here a pipe is opened
//! without blocking and read until a deadline, on the caller's thread: a thread per read that waits for a silent writer
//! would never end.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

#[cfg(feature = "files")]
mod read;

#[cfg(feature = "files")]
pub use self::read::read;
#[cfg(feature = "local-store")]
pub(crate) use self::read::read_opened;

/// Opens a file for reading. With feature `files`, opening a pipe does not wait for its writer.
///
/// # Errors
/// If it cannot be opened.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    nonblocking(OpenOptions::new().read(true)).open(path)
}

/// Opens a file for appending, and creates it with mode 0600 if it does not exist. With feature `files`, a pipe that
/// nobody reads is an error, instead of waiting for its reader. Later writes to a pipe block.
///
/// # Errors
/// If it cannot be opened.
pub(crate) fn open_append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let opened = nonblocking(&mut options).open(path);
    #[cfg(all(unix, feature = "files"))]
    let opened = opened.map_err(unread).and_then(blocking);
    opened
}

#[cfg(all(unix, feature = "files"))]
fn unread(error: io::Error) -> io::Error {
    match rustix::io::Errno::from_io_error(&error) {
        Some(rustix::io::Errno::NXIO) => {
            io::Error::new(error.kind(), "it is a pipe that nobody reads, or a socket")
        }
        _ => error,
    }
}

#[cfg(all(unix, feature = "files"))]
fn blocking(file: File) -> io::Result<File> {
    let flags = rustix::fs::fcntl_getfl(&file)?;
    rustix::fs::fcntl_setfl(&file, flags - rustix::fs::OFlags::NONBLOCK)?;
    Ok(file)
}

#[cfg(all(unix, feature = "files"))]
fn nonblocking(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;

    // The bits of a flag; the type differs between systems.
    options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
}

#[cfg(not(all(unix, feature = "files")))]
fn nonblocking(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(test)]
#[cfg(all(unix, feature = "files"))]
mod tests {
    use std::io::Write as _;
    use std::path::PathBuf;
    use std::process::Command;

    use std::time::Duration;

    use super::read::{read_opened, read_within};
    use super::*;

    const MAX_LEN: usize = 100_000;

    fn pipe(folder: &Path) -> PathBuf {
        let path = folder.join("pipe");
        let made = Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        path
    }

    fn writer(path: &Path) -> File {
        OpenOptions::new().write(true).open(path).unwrap()
    }

    fn within(path: &Path) -> io::Result<String> {
        let bytes = read_within(&open(path)?, MAX_LEN, Duration::from_millis(200))?;
        Ok(String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn pipe_is_read_to_its_end_also_if_it_is_written_in_parts_or_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = pipe(folder.path());
        let large = "x".repeat(MAX_LEN);
        for parts in [
            vec!["TOKEN=1\n"],
            vec!["TOK", "EN", "=1\n"],
            vec![&large],
            vec![],
        ] {
            let text = parts.concat();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let mut file = writer(&path);
                    for part in &parts {
                        file.write_all(part.as_bytes()).unwrap();
                        std::thread::yield_now();
                    }
                });
                assert_eq!(**read(&path, MAX_LEN).unwrap(), *text.as_bytes());
            });
        }
    }

    #[test]
    fn pipe_without_a_writer_or_with_a_silent_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = pipe(folder.path());
        let held = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        let refused = within(&path).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
        assert!(refused.to_string().contains("nobody wrote"), "{refused}");
        (&held).write_all(b"TOKEN=").unwrap();
        let refused = within(&path).unwrap_err();
        assert!(
            refused.to_string().contains("did not close it"),
            "{refused}"
        );
        drop(held);
        let refused = within(&path).unwrap_err();
        assert!(refused.to_string().contains("nobody wrote"), "{refused}");
    }

    #[test]
    fn endless_device_is_too_large_and_an_empty_one_is_empty() {
        let refused = read(Path::new("/dev/zero"), MAX_LEN).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::FileTooLarge);
        assert!(read(Path::new("/dev/null"), MAX_LEN).unwrap().is_empty());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("large");
        std::fs::write(&file, vec![0; MAX_LEN + 1]).unwrap();
        assert_eq!(
            read(&file, MAX_LEN).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
        std::fs::write(&file, vec![0; MAX_LEN]).unwrap();
        assert_eq!(read(&file, MAX_LEN).unwrap().len(), MAX_LEN);
    }

    #[test]
    fn appending_to_a_pipe_requires_a_reader_and_blocks_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let path = pipe(folder.path());
        let refused = open_append(&path).unwrap_err();
        assert!(refused.to_string().contains("nobody reads"), "{refused}");
        let reader = open(&path).unwrap();
        let file = open_append(&path).unwrap();
        let flags = rustix::fs::fcntl_getfl(&file).unwrap();
        assert!(!flags.contains(rustix::fs::OFlags::NONBLOCK));
        (&file).write_all(b"line\n").unwrap();
        drop(file);
        assert_eq!(**read_opened(&reader, MAX_LEN).unwrap(), *b"line\n");
    }
}
