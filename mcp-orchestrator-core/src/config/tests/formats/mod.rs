//! Files of each format, written from its documentation: each is accepted or rejected with a reason, and nothing in it
//! is dropped silently.

mod catalogs;
mod clients;
mod dialects;
mod further;
mod loadable;
mod mcp_servers;
mod more_dialects;
mod others;
mod registry;
mod safety;

use std::path::Path;

use crate::config::{
    IfPresent, ImportOptions, Imported, LoadOptions, Loaded, Problems, Variables, add_to_text,
    import_text, load_texts,
};

/// The expected result of a file.
pub(super) enum Expected<'w> {
    /// The entry in our own format contains these texts, in this order.
    Entry(&'w [&'w str]),
    /// A notice contains this text.
    Notice(&'w str),
    /// It is rejected with this reason.
    Refused(&'w str),
    /// No server of the file is imported, and a notice gives the reason.
    LeftOut(&'w str),
}

use Expected::{Entry, LeftOut, Notice, Refused};

/// A file name, its text, and the expected results.
pub(super) type Case<'c> = (&'c str, &'c str, &'c [Expected<'c>]);

fn variables() -> Variables {
    let env = [
        ("HOME", "/home/u"),
        ("PATH", "/bin"),
        ("TOKEN", "t"),
        ("NAME", "n"),
    ];
    Variables {
        env: env
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..Variables::default()
    }
}

/// Imports a text.
pub(super) fn import(
    file: &str,
    text: &str,
    options: &ImportOptions,
) -> Result<Imported, Problems> {
    import_text(Path::new(file), text, options)
}

/// Returns the entries as text in our own format, which is parsed again.
pub(super) fn written(imported: &Imported) -> String {
    let target = Path::new("c.yaml");
    let (text, _) = add_to_text(target, "", &imported.servers, IfPresent::Refuse)
        .unwrap_or_else(|problems| panic!("{problems}"));
    let mut options = LoadOptions {
        variables: variables(),
        state_dir: Some("/state".into()),
        ..LoadOptions::default()
    };
    for variable in &imported.variables {
        // If an entry has a default, the default applies.
        if text.contains(&format!("${{{}}}", variable.name)) {
            let env = &mut options.variables.env;
            env.insert(variable.name.clone(), "x".to_owned());
        }
    }
    let read = load_texts(&[(target.into(), text.clone())], &options);
    if let Err(problems) = read {
        // Folders and files of another machine do not exist here.
        for problem in &problems.problems {
            let missing = ["folder not found", "cannot read", "a process needs", "pod"];
            let missing = missing.iter().any(|text| problem.message.contains(text));
            assert!(missing, "{problem}\n{text}");
        }
    }
    text
}

/// Loads a file as configuration, without an import.
pub(super) fn load(file: &str, text: &str) -> Result<Loaded, Problems> {
    let options = LoadOptions {
        variables: variables(),
        state_dir: Some("/state".into()),
        ..LoadOptions::default()
    };
    load_texts(&[(file.into(), text.to_owned())], &options)
}

/// Imports each file and compares; reports all differences.
pub(super) fn check(cases: &[Case<'_>], options: &ImportOptions) {
    let differs = |case: &Case<'_>| {
        let checked = std::panic::AssertUnwindSafe(|| check_one(case, options));
        std::panic::catch_unwind(checked).is_err()
    };
    let wrong: Vec<&str> = cases
        .iter()
        .filter(|case| differs(case))
        .map(|case| case.1)
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {}: {wrong:#?}",
        wrong.len(),
        cases.len()
    );
}

fn check_one((file, text, wants): &Case<'_>, options: &ImportOptions) {
    let imported = import(file, text, options);
    if let Ok(imported) = &imported {
        // What is imported always loads.
        written(imported);
    }
    for want in *wants {
        match (&imported, want) {
            (Ok(imported), Entry(texts)) => {
                // Quoting does not matter here.
                let bare = |text: &str| text.replace(['"', '\''], "");
                let all = bare(&written(imported));
                let mut rest = all.as_str();
                for text in *texts {
                    let text = bare(text);
                    let at = rest
                        .find(&text)
                        .unwrap_or_else(|| panic!("{text:?} is not in\n{all}\n{file}"));
                    rest = &rest[at + text.len()..];
                }
            }
            (Ok(imported), Notice(text)) => said(imported, text),
            (Ok(imported), LeftOut(text)) => {
                assert!(imported.servers.is_empty(), "{file}: {text}");
                if !text.is_empty() {
                    said(imported, text);
                }
            }
            (Err(problems), Refused(reason)) => {
                assert!(
                    problems.to_string().contains(reason),
                    "{reason:?}: {problems}"
                );
            }
            (Ok(imported), Refused(reason)) => {
                panic!(
                    "{file} is not refused ({reason})\n{text}\n{}",
                    written(imported)
                );
            }
            (Err(problems), _) => panic!("{problems}\n{text}"),
        }
    }
}

fn said(imported: &Imported, text: &str) {
    let all = imported.notices.iter().map(ToString::to_string);
    let all: Vec<String> = all
        .chain(imported.risks.iter().map(|risk| risk.text.clone()))
        .collect();
    assert!(
        all.iter().any(|said| said.contains(text)),
        "{text:?} is not said: {all:#?}"
    );
}
