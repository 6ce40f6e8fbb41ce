//! Reads a file to its end, or until a deadline.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::{Duration, Instant};

use secrecy::zeroize::Zeroizing;

use super::open;
use crate::limits::CONFIG_PIPE_TIMEOUT;

/// Reads a whole file of at most `max_len` bytes. The bytes are wiped when they are dropped. Blocks; for a pipe or
/// a device, up to [`CONFIG_PIPE_TIMEOUT`].
///
/// # Errors
/// If it cannot be read. [`FileTooLarge`](io::ErrorKind::FileTooLarge) if it is larger, and
/// [`TimedOut`](io::ErrorKind::TimedOut) if it is a pipe that was not written to its end in time.
pub fn read(path: &Path, max_len: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    read_opened(&open(path)?, max_len)
}

/// Like [`read`], for a file that [`open`](super::open) returned.
///
/// # Errors
/// As of [`read`].
pub(crate) fn read_opened(file: &File, max_len: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    read_within(file, max_len, CONFIG_PIPE_TIMEOUT)
}

/// Like [`read_opened`], with this time limit for a pipe or a device.
pub(super) fn read_within(
    file: &File,
    max_len: usize,
    limit: Duration,
) -> io::Result<Zeroizing<Vec<u8>>> {
    let metadata = file.metadata()?;
    let too_large = |len: &dyn std::fmt::Display| {
        let text = format!("the file is too large: {len} bytes, at most {max_len} bytes are read");
        io::Error::new(io::ErrorKind::FileTooLarge, text)
    };
    if metadata.len() > max_len as u64 {
        return Err(too_large(&metadata.len()));
    }
    // Room for all bytes of a regular file and the end, so that no copy of a secret is left behind.
    let expected = usize::try_from(metadata.len()).unwrap_or(max_len);
    let mut bytes = Zeroizing::new(Vec::with_capacity(expected.saturating_add(32)));
    if metadata.is_file() || metadata.is_dir() {
        (&mut &*file)
            .take(max_len as u64 + 1)
            .read_to_end(&mut bytes)?;
    } else {
        let limit = Limit {
            at: now() + limit,
            time: limit,
        };
        until(&limit, file, max_len, &mut bytes)?;
    }
    if bytes.len() > max_len {
        return Err(too_large(&format_args!("more than {max_len}")));
    }
    Ok(bytes)
}

/// Real time, which limits a wait in the kernel also where a test pauses that of tokio.
#[expect(clippy::disallowed_methods, reason = "the wait is one of the kernel")]
fn now() -> Instant {
    Instant::now()
}

/// When reading ends at the latest, and the time that it had.
struct Limit {
    at: Instant,
    time: Duration,
}

/// Reads a pipe or a device to its end, or one byte more than `max_len`.
#[cfg(unix)]
fn until(
    limit: &Limit,
    mut file: &File,
    max_len: usize,
    bytes: &mut Zeroizing<Vec<u8>>,
) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt as _;

    let is_pipe = file.metadata()?.file_type().is_fifo();
    let mut had_writer = false;
    let mut part = Zeroizing::new([0; 8 << 10]);
    while bytes.len() <= max_len {
        match file.read(&mut *part) {
            // Without a writer so far, a pipe that was opened without blocking reads as ended.
            Ok(0) if is_pipe && bytes.is_empty() && !had_writer => {}
            Ok(0) => return Ok(()),
            Ok(len) => {
                append(bytes, &part[..len]);
                if now() < limit.at {
                    continue;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => had_writer = true,
            Err(error) => return Err(error),
        }
        had_writer |= wait(file, limit, bytes.is_empty())?;
    }
    Ok(())
}

/// Appends to a vector that contains a secret: a reallocation would leave a copy of it.
fn append(bytes: &mut Zeroizing<Vec<u8>>, part: &[u8]) {
    if bytes.capacity() - bytes.len() < part.len() {
        let capacity = (bytes.capacity() * 2).max(bytes.len() + part.len());
        let mut larger = Zeroizing::new(Vec::with_capacity(capacity));
        larger.extend_from_slice(bytes);
        *bytes = larger;
    }
    bytes.extend_from_slice(part);
}

/// Waits until the file can be read or its writer has closed it. Returns whether a writer had opened it.
#[cfg(unix)]
fn wait(file: &File, limit: &Limit, is_empty: bool) -> io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let late = || {
        let why = match is_empty {
            true => "to which nobody wrote anything",
            false => "whose writer did not close it",
        };
        let text = format!("it is a pipe {why} within {} s", limit.time.as_secs());
        io::Error::new(io::ErrorKind::TimedOut, text)
    };
    loop {
        let left = limit.at.saturating_duration_since(now());
        if left.is_zero() {
            return Err(late());
        }
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut polled = [PollFd::new(file, PollFlags::IN)];
        match poll(&mut polled, Some(&left)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(not(unix))]
fn until(_: &Limit, file: &File, max_len: usize, bytes: &mut Zeroizing<Vec<u8>>) -> io::Result<()> {
    let mut file = file;
    (&mut file).take(max_len as u64 + 1).read_to_end(bytes)?;
    Ok(())
}
