//! The configuration as it takes effect: every value, masked where it may be secret, and where it comes from.

mod defaults;
mod values;

use std::path::PathBuf;

use serde::Serialize;

use super::load::{LoadOptions, load, read};
use super::merge::{Kind, Merge};
use super::problem::{Problems, Report};
use super::settings::Settings;
use values::Found;

/// One value of the configuration that takes effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Effective {
    /// Its key, as `servers.github.command`.
    pub key: String,
    /// The value as the file has it, variables not filled in; masked where it may be secret.
    pub value: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "from")]
pub enum Origin {
    /// A file.
    File {
        /// Its name, as it was given.
        file: PathBuf,
        /// The line, from 1.
        line: Option<usize>,
        /// Variables of the environment that it names, and whether each is set.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        variables: Vec<NamedVariable>,
    },
    /// The command line, or the variable that does the same.
    Argument,
    /// Nothing says it.
    Default,
}

/// A variable that a value names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NamedVariable {
    /// Its name.
    pub name: String,
    /// Whether it is set. If not, its default takes effect.
    pub is_set: bool,
}

/// Everything that takes effect of these files, in the order of the files, defaults last.
///
/// # Errors
/// As [`load`]: of a configuration that is wrong nothing takes effect.
pub fn effective(files: &[PathBuf], options: &LoadOptions) -> Result<Vec<Effective>, Problems> {
    let settings = load(files, options)?.settings;
    let mut merge = Merge::new(Report::default(), options);
    for file in files {
        // It was read a moment ago; what has gone since then is not shown.
        if let Ok(text) = read(file) {
            merge.file(file, &text);
        }
    }
    let mut found = Found::new(options);
    let (files, mut report) = merge.into_files();
    for (source, kind) in &files {
        match kind {
            Kind::Own(_) => found.own(source),
            Kind::Foreign(theirs) => found.foreign(source, theirs, &mut report),
        }
    }
    let mut all = found.all;
    arguments(&settings, options, &mut all);
    defaults::add(&settings, &mut all);
    Ok(all)
}

/// What the command line says in the place of the files.
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
            backends.backend.map(|kind| kind.as_str().to_owned()),
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
