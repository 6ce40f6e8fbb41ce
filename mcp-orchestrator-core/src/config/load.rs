//! Loads a configuration: reads and merges the files, checks everything, and returns either settings or all problems.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::merge::{Loaded, Merge};
use super::options::LoadOptions;
use crate::config::source::diagnostics::{KeyPath, Problems, Report};
use crate::config::source::jsonc;
use crate::config::source::node::Value;
use crate::config::source::read::read;
use crate::config::source::yaml;

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
    merge.resolve_globals();
    merge.state_dir(files)
}

/// Returns `true` if a text configures nothing at all, as a file does briefly while it is rewritten. `servers: {}` and
/// `{}` do not count as empty.
pub fn is_empty_text(file: &Path, text: &str) -> bool {
    let text = jsonc::strip_comments(file, text);
    match yaml::parse(&text) {
        Ok((tree, _)) => tree.is_none_or(|tree| matches!(tree.value, Value::Null)),
        Err(_) => false,
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
    merge.resolve_globals();
    merge.resolve_servers();
    merge.finish(files)
}
