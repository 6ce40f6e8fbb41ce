//! Complete files, valid and invalid.

mod auth;
mod bad;
mod chart;
mod docs;
mod foreign;
mod formats;
mod good;
mod import;
mod oauth;
mod outbound;
mod pods;
mod random;
mod registry;
mod secrets;
mod tool_overrides;

use std::path::PathBuf;

use super::{LoadOptions, Loaded, Problems, Variables, load_texts};

/// Fixed options that do not depend on this machine.
pub(super) fn options() -> LoadOptions {
    let env = [
        ("HOME", "/home/u"),
        ("TOKEN", "canary-token"),
        ("PATH", "/bin:/usr/bin"),
        ("NAME", "name"),
    ];
    LoadOptions {
        variables: Variables {
            env: env
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ..Variables::default()
        },
        ..LoadOptions::default()
    }
}

pub(super) fn load_as(files: &[(&str, &str)]) -> Result<Loaded, Problems> {
    let texts: Vec<_> = files
        .iter()
        .map(|(file, text)| (PathBuf::from(file), (*text).to_owned()))
        .collect();
    load_texts(&texts, &options())
}

pub(super) fn good(text: &str) -> Loaded {
    load_as(&[("c.yaml", text)]).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Options inside a cluster.
pub(super) fn inside() -> LoadOptions {
    let mut options = options();
    let env = &mut options.variables.env;
    env.insert("KUBERNETES_SERVICE_HOST".to_owned(), "10.0.0.1".to_owned());
    options
}

pub(super) fn bad(text: &str) -> Vec<String> {
    let problems = load_as(&[("c.yaml", text)]).expect_err("the file is wrong");
    problems.problems.iter().map(ToString::to_string).collect()
}
