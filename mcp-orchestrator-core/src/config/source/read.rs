//! Reads files as text.
//!
//! A file may be a pipe: a shell passes the output of a command as one, and password managers mount files of variables
//! as pipes. Opening a pipe waits for its writer, so that is limited in time.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::mpsc::sync_channel;

use crate::limits::{CONFIG_PIPE_TIMEOUT, MAX_CONFIG_FILE_LEN};

/// Reads a file as text: UTF-8 or UTF-16, without its byte-order mark. Blocks; for a pipe, up to
/// [`CONFIG_PIPE_TIMEOUT`].
///
/// # Errors
/// Why it cannot be read.
pub fn read(file: &Path) -> Result<String, String> {
    let cannot = |error: io::Error| format!("cannot read the file: {error}");
    let too_large = |size: &dyn std::fmt::Display| {
        format!("the file is too large: {size} bytes, at most {MAX_CONFIG_FILE_LEN} are read")
    };
    let found = fs::metadata(file).map_err(cannot)?;
    if found.len() > MAX_CONFIG_FILE_LEN as u64 {
        return Err(too_large(&found.len()));
    }
    let bytes = if found.is_file() || found.is_dir() {
        bounded(file)
    } else {
        within_time(file)
    };
    let bytes = bytes.map_err(cannot)?;
    if bytes.len() > MAX_CONFIG_FILE_LEN {
        return Err(too_large(&format_args!("more than {MAX_CONFIG_FILE_LEN}")));
    }
    decode(&bytes)
}

/// Reads at most one byte more than a file may have.
fn bounded(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut file = File::open(file)?.take(MAX_CONFIG_FILE_LEN as u64 + 1);
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Like [`bounded`], for a pipe or a device, which may never deliver anything.
fn within_time(file: &Path) -> io::Result<Vec<u8>> {
    let (sender, receiver) = sync_channel(1);
    let path = file.to_owned();
    std::thread::Builder::new().spawn(move || {
        // The receiver may have stopped waiting.
        let _ = sender.send(bounded(&path));
    })?;
    receiver
        .recv_timeout(CONFIG_PIPE_TIMEOUT)
        .unwrap_or_else(|_| {
            // A writer that closes the pipe at once ends the thread, which waits for one.
            let _ = OpenOptions::new().read(true).write(true).open(file);
            let text = format!(
                "it is a pipe to which nobody wrote anything within {} s",
                CONFIG_PIPE_TIMEOUT.as_secs()
            );
            Err(io::Error::new(io::ErrorKind::TimedOut, text))
        })
}

/// Decodes UTF-8, or UTF-16 with a byte-order mark as written by some editors and shells on Windows. Removes the mark.
pub(crate) fn decode(bytes: &[u8]) -> Result<String, String> {
    let no_text = || "the file is neither UTF-8 nor UTF-16 text".to_owned();
    let units = |read: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes[2..].as_chunks::<2>();
        let units: Vec<u16> = pairs.iter().copied().map(read).collect();
        match rest.is_empty() {
            true => String::from_utf16(&units).map_err(|_| no_text()),
            false => Err(no_text()),
        }
    };
    match bytes.first_chunk::<2>() {
        Some(b"\xff\xfe") => units(u16::from_le_bytes),
        Some(b"\xfe\xff") => units(u16::from_be_bytes),
        _ => {
            let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
            String::from_utf8(bytes.to_vec()).map_err(|_| no_text())
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::io::Write as _;
    use std::process::Command;

    use super::*;

    fn pipe(folder: &Path) -> std::path::PathBuf {
        let path = folder.join("pipe");
        let made = Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        path
    }

    #[test]
    fn pipe_is_read_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = pipe(folder.path());
        let writer = path.clone();
        let writing = std::thread::spawn(move || {
            let mut file = OpenOptions::new().write(true).open(writer).unwrap();
            file.write_all(b"TOKEN=1\n").unwrap();
        });
        assert_eq!(read(&path).unwrap(), "TOKEN=1\n");
        writing.join().unwrap();
    }

    #[test]
    fn pipe_without_a_writer_is_refused_after_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let refused = read(&pipe(folder.path())).unwrap_err();
        assert!(refused.contains("nobody wrote anything"), "{refused}");
    }

    #[test]
    fn endless_device_is_too_large_and_an_empty_one_is_empty() {
        let refused = read(Path::new("/dev/zero")).unwrap_err();
        assert!(refused.contains("too large"), "{refused}");
        assert_eq!(read(Path::new("/dev/null")).unwrap(), "");
    }
}
