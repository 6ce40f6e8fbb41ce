//! Loads a configuration: reads and merges the files, checks everything, and returns either settings or all problems.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::merge::Merge;
use crate::config::resolve::backends::BackendOptions;
use crate::config::settings::Settings;
use crate::config::source::diagnostics::{KeyPath, Notice, Problems, Report};
use crate::config::source::interpolate::Variables;
use crate::config::source::jsonc;
use crate::config::source::node::Value;
use crate::config::source::yaml;
use crate::limits::MAX_CONFIG_FILE_LEN;

/// Options of a load that do not come from files.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// The values of variables.
    pub variables: Variables,
    /// The value of `${workspaceFolder}` in foreign files; `None` derives it from the location of the file.
    pub workspace: Option<PathBuf>,
    /// The listen address; overrides the files.
    pub listen: Option<SocketAddr>,
    /// The state directory; overrides the files.
    pub state_dir: Option<PathBuf>,
    /// Backend options; override the files.
    pub backends: BackendOptions,
}

impl LoadOptions {
    /// Uses the environment of this process.
    pub fn from_process() -> Self {
        Self {
            variables: Variables::from_process(),
            ..Self::default()
        }
    }
}

/// A valid configuration.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Notices, for example about a program that is not found.
    pub notices: Vec<Notice>,
}

/// Loads these files. If a server is in two of them, the later file wins and a notice reports it.
///
/// Starts nothing, and reads no other files except the `env_file` of each server.
///
/// # Errors
/// All problems of all files. A file with a syntax error is not checked further; the others are.
pub fn load(files: &[PathBuf], options: &LoadOptions) -> Result<Loaded, Problems> {
    let mut report = Report::default();
    let texts = files.iter().filter_map(|file| match read(file) {
        Ok(text) => Some((file.clone(), text)),
        Err(message) => {
            report.problem(
                &Arc::from(file.as_path()),
                None,
                &KeyPath::default(),
                message,
            );
            None
        }
    });
    let texts: Vec<(PathBuf, String)> = texts.collect();
    load_into(report, files, &texts, options)
}

/// Loads files from texts.
///
/// # Errors
/// As for [`load`].
pub fn load_texts(texts: &[(PathBuf, String)], options: &LoadOptions) -> Result<Loaded, Problems> {
    let files: Vec<PathBuf> = texts.iter().map(|(file, _)| file.clone()).collect();
    load_into(Report::default(), &files, texts, options)
}

/// Returns the state directory that these files name, even if they have problems. It is used to find a running gateway.
pub fn state_dir_of(files: &[PathBuf], options: &LoadOptions) -> Option<PathBuf> {
    let mut merge = Merge::new(Report::default(), options);
    for file in files {
        if let Ok(text) = read(file) {
            merge.file(file, &text);
        }
    }
    merge.take_globals();
    merge.state_dir(files)
}

/// Returns `true` if a text configures nothing at all, as a file does briefly while it is rewritten. `servers: {}` and
/// `{}` do not count as empty.
pub fn is_empty_text(file: &Path, text: &str) -> bool {
    let text = jsonc::readable(file, text);
    match yaml::parse(&text) {
        Ok((tree, _)) => tree.is_none_or(|tree| matches!(tree.value, Value::Null)),
        Err(_) => false,
    }
}

/// Reads a file as text: UTF-8 or UTF-16, without its byte-order mark.
///
/// # Errors
/// Why it cannot be read.
pub fn read(file: &Path) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("the file cannot be read: {error}");
    let size = fs::metadata(file).map_err(cannot)?.len();
    if size > MAX_CONFIG_FILE_LEN as u64 {
        return Err(format!(
            "the file is too large: {size} bytes, at most {MAX_CONFIG_FILE_LEN} are read"
        ));
    }
    decode(&fs::read(file).map_err(cannot)?)
}

/// Decodes UTF-8, or UTF-16 with a byte-order mark as written by some editors and shells on Windows. Removes the mark.
pub(super) fn decode(bytes: &[u8]) -> Result<String, String> {
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

fn load_into(
    report: Report,
    files: &[PathBuf],
    texts: &[(PathBuf, String)],
    options: &LoadOptions,
) -> Result<Loaded, Problems> {
    let mut merge = Merge::new(report, options);
    for (file, text) in texts {
        merge.file(file, text);
    }
    // Values that apply to all servers must be known before any server is read.
    merge.take_globals();
    merge.take_servers();
    merge.finish(files)
}
