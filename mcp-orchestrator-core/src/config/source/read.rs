//! Reads files as text.

use std::io;
use std::path::Path;

use crate::files;
use crate::limits::MAX_CONFIG_FILE_LEN;

/// Reads a file as text: UTF-8 or UTF-16, without its byte-order mark. Blocks; for a pipe, up to
/// [`CONFIG_PIPE_TIMEOUT`](crate::limits::CONFIG_PIPE_TIMEOUT).
///
/// # Errors
/// Why it cannot be read.
pub fn read(file: &Path) -> Result<String, String> {
    let bytes = files::read(file, MAX_CONFIG_FILE_LEN).map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => error.to_string(),
        _ => format!("cannot read the file: {error}"),
    })?;
    decode(&bytes)
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
