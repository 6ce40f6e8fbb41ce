//! Adds and removes servers in a file in our own format as a person would: text is inserted or removed, and
//! everything else stays unchanged, including comments. The result is parsed again and compared before it is used.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use super::edit::{self, Edit};
use super::file::File;
use super::file_server::ServerEntry;
use super::foreign::{self, Found};
use super::jsonc;
use super::load;
use super::parse;
use super::problem::{KeyPath, Position, Problems, Report};
use super::tree::{Node, Value};
use super::typed;
use crate::id::ServerId;

/// What to do if the file already contains the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IfPresent {
    /// Reports a problem; the file is not changed.
    #[default]
    Refuse,
    /// Replaces the entry, including the comments in it.
    Replace,
}

/// Result of a write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// `true` if the file did not exist before.
    pub created: bool,
    /// The servers with replaced entries.
    pub replaced: Vec<ServerId>,
}

/// Adds servers to a file in our own format. Creates the file if it does not exist, readable only by its owner,
/// because people write secrets into such files. The file is replaced atomically, so a reader never sees a partial
/// file.
///
/// # Errors
/// Fails if the file contains a server that must not be replaced, if it is not in our own format, or if it cannot be
/// read, edited or written. The file is unchanged in that case.
pub fn add_servers(
    file: &Path,
    servers: &[(ServerId, ServerEntry)],
    if_present: IfPresent,
) -> Result<Written, Problems> {
    let created = !file.exists();
    let text = if created {
        String::new()
    } else {
        load::read(file).map_err(|message| problem(file, message))?
    };
    let (text, replaced) = add_to_text(file, &text, servers, if_present)?;
    replace(file, &text, created)
        .map_err(|error| problem(file, format!("the file cannot be written: {error}")))?;
    Ok(Written { created, replaced })
}

/// Returns the text of a file with servers added, and the servers that were replaced. Only the name of `file` is used.
///
/// # Errors
/// As for [`add_servers`].
pub fn add_to_text(
    file: &Path,
    text: &str,
    servers: &[(ServerId, ServerEntry)],
    if_present: IfPresent,
) -> Result<(String, Vec<ServerId>), Problems> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let before = entries(file, text)?;
    let json = file
        .extension()
        .is_some_and(|extension| extension == "json");
    let mut replaced = Vec::new();
    let mut now = text.to_owned();
    let mut expected = before.clone();
    for (id, entry) in servers {
        if before.contains_key(id.as_str()) {
            if if_present == IfPresent::Refuse {
                let message = format!("server {id} already exists in this file");
                return Err(problem(file, message));
            }
            replaced.push(id.clone());
        }
        let tree = tree(file, &now)?;
        let edit = Edit {
            text: &now,
            tree: tree.as_ref(),
            json,
        };
        now = edit
            .put(id.as_str(), entry)
            .ok_or_else(|| by_hand(file, servers))?;
        expected.insert(id.as_str().to_owned(), entry.clone());
    }
    match entries(file, &now) {
        Ok(after) if after == expected => Ok((now, replaced)),
        _ => Err(by_hand(file, servers)),
    }
}

/// Removes a server from a file in our own format, atomically. Returns `false` if the file does not contain it.
///
/// # Errors
/// Fails if the file is not in our own format, or cannot be read, edited or written. It is unchanged in that case.
pub fn remove_server(file: &Path, id: &ServerId) -> Result<bool, Problems> {
    let text = load::read(file).map_err(|message| problem(file, message))?;
    let Some(text) = remove_from_text(file, &text, id)? else {
        return Ok(false);
    };
    replace(file, &text, false)
        .map_err(|error| problem(file, format!("the file cannot be written: {error}")))?;
    Ok(true)
}

/// Returns the text of a file without a server, or `None` if it does not contain it. Only the name of `file` is used.
///
/// # Errors
/// As for [`remove_server`].
pub fn remove_from_text(
    file: &Path,
    text: &str,
    id: &ServerId,
) -> Result<Option<String>, Problems> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut expected = entries(file, text)?;
    if expected.remove(id.as_str()).is_none() {
        return Ok(None);
    }
    let tree = tree(file, text)?;
    let json = file.extension().is_some_and(|end| end == "json");
    let edit = Edit {
        text,
        tree: tree.as_ref(),
        json,
    };
    let now = edit.take(id.as_str());
    match now.as_ref().map(|now| entries(file, now)) {
        Some(Ok(after)) if after == expected => Ok(now),
        _ => {
            let why = "the file is written in a way that cannot be edited safely: take the server out by hand";
            Err(problem(file, why.to_owned()))
        }
    }
}

/// Returns the entry as YAML text, to be shown before it is written. It contains the entry's values, including secrets.
pub fn entry_text(id: &ServerId, entry: &ServerEntry) -> String {
    edit::yaml(id.as_str(), entry, 2).unwrap_or_default()
}

fn tree(file: &Path, text: &str) -> Result<Option<Node>, Problems> {
    let text = jsonc::readable(file, text);
    match parse::parse(&text) {
        Ok((tree, flaws)) => {
            if let Some(flaw) = flaws.into_iter().next() {
                return Err(problem_at(
                    file,
                    Some(flaw.position),
                    &flaw.path,
                    flaw.message,
                ));
            }
            Ok(tree.filter(|tree| !matches!(tree.value, Value::Null)))
        }
        Err(flaw) => Err(problem_at(
            file,
            Some(flaw.position),
            &flaw.path,
            flaw.message,
        )),
    }
}

/// Returns the servers of the file, before they are resolved. Other problems of the file are ignored.
fn entries(file: &Path, text: &str) -> Result<BTreeMap<String, ServerEntry>, Problems> {
    let Some(tree) = tree(file, text)? else {
        return Ok(BTreeMap::new());
    };
    if let Some(found) = Found::in_tree(&tree, file) {
        let key = found.key();
        let message = format!("this is a file of another program (`{key}`): import it instead");
        return Err(problem(file, message));
    }
    if let Some(catalog) = foreign::catalog(&tree) {
        return Err(problem(
            file,
            format!("this is {catalog}: import it instead"),
        ));
    }
    let (typed, _) = typed::read::<File>(&tree);
    let mut entries: BTreeMap<String, ServerEntry> =
        typed.servers.unwrap_or_default().0.into_iter().collect();
    // An invalid entry still occupies its name.
    for entry in tree.get("servers").map(Node::entries).unwrap_or_default() {
        entries.entry(entry.key.clone()).or_default();
    }
    Ok(entries)
}

fn by_hand(file: &Path, servers: &[(ServerId, ServerEntry)]) -> Problems {
    let names: Vec<&str> = servers.iter().map(|(id, _)| id.as_str()).collect();
    let names = names.join(", ");
    problem(
        file,
        format!(
            "the file is written in a way that cannot be edited safely: add {names} under `servers` by hand"
        ),
    )
}

fn problem(file: &Path, message: String) -> Problems {
    problem_at(file, None, &KeyPath::default(), message)
}

fn problem_at(
    file: &Path,
    position: Option<Position>,
    path: &KeyPath,
    message: String,
) -> Problems {
    let mut report = Report::default();
    report.problem(&Arc::from(file), position, path, message);
    report.finish(&[]).err().unwrap_or(Problems {
        problems: Vec::new(),
        notices: Vec::new(),
    })
}

/// Writes to a temporary file and renames it. A symbolic link keeps its target, and the file its mode.
fn replace(file: &Path, text: &str, created: bool) -> std::io::Result<()> {
    let target = if created {
        file.to_path_buf()
    } else {
        file.canonicalize()?
    };
    if let Some(folder) = target
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        fs::create_dir_all(folder)?;
    }
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = target.with_file_name(name);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut out = options.open(&beside)?;
    let done = out
        .write_all(text.as_bytes())
        .and_then(|()| {
            if created {
                Ok(())
            } else {
                out.set_permissions(target.metadata()?.permissions())
            }
        })
        .and_then(|()| out.sync_all())
        .and_then(|()| fs::rename(&beside, &target));
    if done.is_err() {
        let _ = fs::remove_file(&beside);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{TextOr, Typed};

    fn entry(program: &str) -> (ServerId, ServerEntry) {
        let command = [program, "-y", "${A}", "a: #b"].map(Typed::from).to_vec();
        let entry = ServerEntry {
            command: Some(TextOr::Other(command)),
            env: Some(
                [
                    ("KEY".to_owned(), Typed::from("${KEY}")),
                    ("N".to_owned(), Typed::from("1")),
                ]
                .into(),
            ),
            ..ServerEntry::default()
        };
        (ServerId::new("new").unwrap(), entry)
    }

    fn add(file: &str, text: &str, if_present: IfPresent) -> Result<String, Problems> {
        add_to_text(Path::new(file), text, &[entry("npx")], if_present).map(|(text, _)| text)
    }

    const BLOCK: &str = "  new:\n    command:\n";

    #[test]
    fn existing_text_is_preserved() {
        let comment = "# mine\nservers:\n  # first\n  a:\n    command: [sh] # x\n\n  # tail of servers\n\n# about gateways\ngateways: {}\n";
        let added = add("c.yaml", comment, IfPresent::Refuse).unwrap();
        let at = added.find("  # tail of servers\n  new:\n").expect(&added);
        assert_eq!(
            added.replace(&added[at + 20..added.find("\n# about").unwrap()], ""),
            comment
        );
        for text in [
            "",
            "# only\n",
            "listen: 127.0.0.1:1",
            "listen: 127.0.0.1:1\n",
            "servers:\n",
            "servers: # none\nlisten: 127.0.0.1:1\n",
            "servers: {}\n",
            "servers:\n    a: {command: sh}\n",
            "servers:\n  a:\n    command: sh",
        ] {
            let added = add("c.yaml", text, IfPresent::Refuse)
                .unwrap_or_else(|problems| panic!("{text:?}: {problems}"));
            assert!(added.contains("  new:\n"), "{text:?}: {added}");
        }
        assert!(
            add("c.yaml", "", IfPresent::Refuse)
                .unwrap()
                .contains(BLOCK)
        );
    }

    #[test]
    fn json_stays_json() {
        for text in [
            "",
            "{}",
            "{\"servers\": {}}",
            "{\"servers\": {\"a\": {\"command\": [\"sh\"]}}}",
            "{\"listen\": \"127.0.0.1:1\"}",
        ] {
            let added = add("c.json", text, IfPresent::Refuse)
                .unwrap_or_else(|problems| panic!("{text:?}: {problems}"));
            let value: serde_json::Value =
                serde_json::from_str(&added).unwrap_or_else(|error| panic!("{added}: {error}"));
            assert_eq!(value["servers"]["new"]["command"][0], "npx");
        }
    }

    #[test]
    fn a_server_is_replaced_only_on_request() {
        for (file, text) in [
            (
                "c.yaml",
                "servers:\n  new:\n    command: [old]\n    # gone\n  # stays\n  b: {command: sh}\n",
            ),
            ("c.yaml", "servers:\n  new: {command: old} # gone\n"),
            (
                "c.yaml",
                "servers: {new: {command: old}, b: {command: sh}}\n",
            ),
            (
                "c.json",
                "{\"servers\": {\"new\": {\"command\": [\"old\"]}, \"b\": {\"command\": [\"sh\"]}}}",
            ),
        ] {
            assert!(
                add(file, text, IfPresent::Refuse)
                    .unwrap_err()
                    .to_string()
                    .contains("already exists in this file")
            );
            let now = add(file, text, IfPresent::Replace)
                .unwrap_or_else(|problems| panic!("{text:?}: {problems}"));
            assert!(
                !now.contains("old") && !now.contains("gone") && now.contains("npx"),
                "{now}"
            );
            assert_eq!(text.contains("stays"), now.contains("stays"), "{now}");
        }
    }

    #[test]
    fn what_cannot_be_edited_is_left_alone() {
        for (file, text) in [
            ("c.yaml", "servers: &x\n  a: {command: sh}\n...\n"),
            ("c.yaml", "servers: ["),
            ("mcp.json", "{\"mcpServers\": {}}"),
            ("c.yaml", "- a"),
        ] {
            let answer = add(file, text, IfPresent::Refuse);
            assert!(
                answer.is_err() || answer.is_ok_and(|now| now.starts_with("servers: &x")),
                "{text}"
            );
        }
    }

    #[test]
    fn a_file_is_created_and_changed_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sub/c.yaml");
        assert!(
            add_servers(&file, &[entry("npx")], IfPresent::Refuse)
                .unwrap()
                .created
        );
        let written = add_servers(&file, &[entry("uvx")], IfPresent::Replace).unwrap();
        assert_eq!((written.created, written.replaced.len()), (false, 1));
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains("uvx") && !text.contains("npx"), "{text}");
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_server_is_taken_out_and_all_else_stays() {
        let id = ServerId::new("b").unwrap();
        for (file, before, after) in [
            (
                "c.yaml",
                "# top\nservers:\n  a: {command: x}\n  b:\n    command: y\n    # of b\n    env: {A: b}\n  # of c\n  c: {command: z}\nlisten: 127.0.0.1:1\n",
                "# top\nservers:\n  a: {command: x}\n  # of c\n  c: {command: z}\nlisten: 127.0.0.1:1\n",
            ),
            ("c.yaml", "servers:\n  b: {command: y}\n", "servers:\n"),
            (
                "c.yaml",
                "servers: {a: {command: x}, b: {command: y}}\n",
                "servers: {a: {command: x}}\n",
            ),
            (
                "c.yaml",
                "servers: {b: {command: y}, a: {command: x}}\n",
                "servers: { a: {command: x}}\n",
            ),
            (
                "c.json",
                "{\"servers\": {\"a\": {\"command\": \"x\"},\n \"b\": {\"command\": \"y\"}}}",
                "{\"servers\": {\"a\": {\"command\": \"x\"}}}",
            ),
        ] {
            let now = remove_from_text(Path::new(file), before, &id).unwrap();
            assert_eq!(now.as_deref(), Some(after), "{before}");
        }
        let none = remove_from_text(Path::new("c.yaml"), "servers:\n  a: {command: x}\n", &id);
        assert_eq!(none.unwrap(), None);
    }
}
