//! Configuration files, files of other programs, and the registry's `server.json`.

use std::path::{Path, PathBuf};

use crate::config::{
    IfPresent, ImportOptions, ImportValues, Imported, LoadOptions, Problems, Variables,
    add_to_text, import_text, load_texts,
};

/// Loads a file of any format; the first byte selects the name under which it is read.
///
/// # Panics
/// If the file is rejected without a problem.
pub fn configuration(data: &[u8]) {
    const NAMES: [&str; 6] = [
        "c.yaml",
        "c.json",
        "mcp.json",
        ".mcp.json",
        "config.toml",
        "c.jsonc",
    ];
    let Some((name, text)) = split(data, &NAMES) else {
        return;
    };
    let read = load_texts(&[(PathBuf::from(name), text.to_owned())], &options());
    named(read.err());
}

/// Imports a file of another program, or a server description, and reads the result back.
///
/// # Panics
/// If the file is rejected without a problem, or yields servers that a configuration file cannot hold.
pub fn foreign_files(data: &[u8]) {
    const NAMES: [&str; 6] = [
        "/w/.cursor/mcp.json",
        "/w/settings.json",
        "/w/config.toml",
        "/w/config.yaml",
        "/w/.vscode/mcp.json",
        "https://example.com/x",
    ];
    let Some((name, text)) = split(data, &NAMES) else {
        return;
    };
    for values in [ImportValues::Reference, ImportValues::Keep] {
        let options = ImportOptions {
            values,
            containers: data.len().is_multiple_of(2),
            ..ImportOptions::default()
        };
        readable(import_text(Path::new(name), text, &options));
    }
}

/// Imports a `server.json`. None of its text may be read as an environment variable.
///
/// # Panics
/// Same as [`foreign_files`], and if an entry references a variable that is not the server's own.
pub fn server_json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let wrapped =
        format!(r#"{{"name": "com.example/tool", "packages": [{text}], "remotes": [{text}]}}"#);
    for text in [text, &wrapped] {
        let options = ImportOptions::default();
        let Some(imported) = readable(import_text(Path::new("server.json"), text, &options)) else {
            continue;
        };
        if imported.variables.iter().any(|variable| variable.theirs) {
            // The text was a configuration file of another program after all.
            continue;
        }
        for variable in &imported.variables {
            let own = variable.name.starts_with("MCP_");
            assert!(
                own,
                "a variable of somebody else is named: {}",
                variable.name
            );
        }
    }
}

fn options() -> LoadOptions {
    LoadOptions {
        variables: Variables::default(),
        workspace: Some("/w".into()),
        state_dir: Some("/state".into()),
        ..LoadOptions::default()
    }
}

fn split<'d>(data: &'d [u8], names: &[&'static str]) -> Option<(&'static str, &'d str)> {
    let (first, rest) = data.split_first()?;
    let name = names[usize::from(*first) % names.len()];
    Some((name, std::str::from_utf8(rest).ok()?))
}

/// Checks that a rejection has a reason.
fn named(refused: Option<Problems>) {
    if let Some(problems) = refused {
        assert!(!problems.problems.is_empty(), "refused without a reason");
    }
}

/// Checks that imported servers can be written to a configuration file and read back.
fn readable(imported: Result<Imported, Problems>) -> Option<Imported> {
    let imported = match imported {
        Ok(imported) => imported,
        Err(problems) => {
            named(Some(problems));
            return None;
        }
    };
    for file in ["c.yaml", "c.json"] {
        let added = add_to_text(Path::new(file), "", &imported.servers, IfPresent::Refuse);
        let (text, _) = added.unwrap_or_else(|problems| panic!("it cannot be written: {problems}"));
        // A value such as a URL may be invalid, but the syntax must not be.
        if let Err(problems) = load_texts(&[(PathBuf::from(file), text)], &options()) {
            for problem in &problems.problems {
                assert!(problem.key.starts_with("servers"), "{problem}");
                assert!(!problem.message.contains("is no variable"), "{problem}");
            }
        }
    }
    Some(imported)
}
