//! Configuration files, other programs' files and the registry's `server.json`.

use std::path::{Path, PathBuf};

use crate::config::{
    IfPresent, ImportOptions, ImportValues, Imported, LoadOptions, Problems, Variables,
    add_to_text, import_text, load_texts,
};

/// A file of any format: the first byte says under which name it is read.
///
/// # Panics
/// Where neither settings nor a problem come out of it.
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

/// A file of another program, or a description, that is imported. What comes out is read back.
///
/// # Panics
/// Where neither servers nor a problem come out of it, or servers that a file of our own cannot hold.
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

/// A `server.json`. No text of it may be read as a variable of the environment.
///
/// # Panics
/// As [`foreign_files`], and where an entry names a variable that is not the server's own.
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
            // It was the file of a program after all.
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

/// What is refused has a reason.
fn named(refused: Option<Problems>) {
    if let Some(problems) = refused {
        assert!(!problems.problems.is_empty(), "refused without a reason");
    }
}

/// What is imported can be written into a file of our own and is read back from it.
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
        // A value may be wrong, as an address; its syntax must not be.
        if let Err(problems) = load_texts(&[(PathBuf::from(file), text)], &options()) {
            for problem in &problems.problems {
                assert!(problem.key.starts_with("servers"), "{problem}");
                assert!(!problem.message.contains("is no variable"), "{problem}");
            }
        }
    }
    Some(imported)
}
