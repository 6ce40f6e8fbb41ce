//! The effective configuration: every value, masked if it may be secret, and its origin.

mod defaults;
mod origin;
mod values;

use std::path::PathBuf;

pub use self::origin::{Effective, NamedVariable, Origin};
use self::values::Values;
use super::load::load;
use super::merge::{Content, Merge};
use super::options::LoadOptions;
use crate::config::settings::Settings;
use crate::config::source::diagnostics::{Problems, Report};
use crate::config::source::read::read;

/// Returns all values that take effect with these files, in the order of the files, defaults last.
///
/// # Errors
/// As [`load`]: an invalid configuration has no effective values.
pub fn effective(files: &[PathBuf], options: &LoadOptions) -> Result<Vec<Effective>, Problems> {
    let settings = load(files, options)?.settings;
    let mut merge = Merge::new(Report::default(), options);
    for file in files {
        // `load` has just read this file; if it is gone since then, it is omitted.
        if let Ok(text) = read(file) {
            merge.file(file, &text);
        }
    }
    let mut found = Values::new(options);
    let (files, mut report) = merge.into_files();
    for (source, kind) in &files {
        match kind {
            Content::Own(_) => found.own(source),
            Content::Foreign(theirs) => found.foreign(source, theirs, &mut report),
        }
    }
    let mut all = found.all;
    arguments(&settings, options, &mut all);
    defaults::add(&settings, &mut all);
    Ok(all)
}

/// Replaces values of the files with those of the command line.
fn arguments(settings: &Settings, options: &LoadOptions, all: &mut Vec<Effective>) {
    let backends = &options.backends;
    let text = |text: &Option<String>| text.clone();
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    for (key, value) in [
        (
            "listen",
            options.listen.map(|_| settings.listen.to_string()),
        ),
        ("state_dir", path(&options.state_dir)),
        (
            "backend",
            backends
                .backend
                .as_ref()
                .map(|kind| kind.as_str().to_owned()),
        ),
        ("kubernetes.kubeconfig", path(&backends.kubeconfig)),
        ("kubernetes.context", text(&backends.context)),
        ("kubernetes.namespace", text(&backends.namespace)),
    ] {
        let Some(value) = value else { continue };
        all.retain(|known| known.key != key);
        all.push(Effective {
            key: key.to_owned(),
            value,
            origin: Origin::Argument,
        });
    }
}
