//! Adds and removes servers in a file in our own format as a person would: text is inserted or removed, and
//! everything else stays unchanged, including comments. The result is parsed again and compared before it is used.

mod splice;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use self::splice::Edit;
use crate::config::foreign::{self, ForeignFile};
use crate::config::schema::file::File;
use crate::config::schema::server::ServerEntry;
use crate::config::source::deserialize;
use crate::config::source::diagnostics::{KeyPath, Position, Problems, Report};
use crate::config::source::jsonc;
use crate::config::source::node::{Node, Value};
use crate::config::source::read;
use crate::config::source::yaml;
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
#[non_exhaustive]
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
        read::read(file).map_err(|message| problem(file, message))?
    };
    let (text, replaced) = add_to_text(file, &text, servers, if_present)?;
    replace(file, &text, created)
        .map_err(|error| problem(file, format!("cannot write the file: {error}")))?;
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
    let text = read::read(file).map_err(|message| problem(file, message))?;
    let Some(text) = remove_from_text(file, &text, id)? else {
        return Ok(false);
    };
    replace(file, &text, false)
        .map_err(|error| problem(file, format!("cannot write the file: {error}")))?;
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
            let why = "cannot edit this file safely; remove the server by hand";
            Err(problem(file, why.to_owned()))
        }
    }
}

/// Returns the entry as YAML text, to be shown before it is written. It contains the entry's values, including secrets.
pub fn entry_text(id: &ServerId, entry: &ServerEntry) -> String {
    splice::yaml(id.as_str(), entry, 2).unwrap_or_default()
}

fn tree(file: &Path, text: &str) -> Result<Option<Node>, Problems> {
    let text = jsonc::strip_comments(file, text);
    match yaml::parse(&text) {
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
    if let Some(found) = ForeignFile::in_tree(&tree, file) {
        let key = found.key();
        let message = format!("this file belongs to another program (`{key}`); import it instead");
        return Err(problem(file, message));
    }
    if let Some(catalog) = foreign::catalog(&tree) {
        return Err(problem(
            file,
            format!("this is {catalog}; import it instead"),
        ));
    }
    let (typed, _) = deserialize::read::<File>(&tree);
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
mod tests;
