//! Turns a file of another program, or a description of servers that can be had, into entries of our own format.
//!
//! What is imported was written by somebody else. So an entry reads no variable of the gateway's environment but those
//! that the file of another program itself names, and those are listed; a value of `env` or `headers`, which is a secret
//! for all we know, stays where it is and becomes a variable that is named after the server; and what could run other
//! code than it seems to is refused, or listed as a [`Risk`] that somebody has to agree to.

mod catalog;
mod described;
mod docker;
mod registry;
mod resources;
mod risk;
mod risky_names;
mod toolhive;
mod translate;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::risk::Origin;
pub use self::risk::Risk;
use self::translate::Translation;
use super::expand::Dialect;
use super::file_server::ServerEntry;
use super::foreign::{self, Found};
use super::jsonc;
use super::load;
use super::parse;
use super::problem::{KeyPath, Notice, Problems, Report};
use super::scope::Source;
use super::tree::{Flaw, Node};
use crate::id::ServerId;

/// How long a file elsewhere may take to come.
#[cfg(feature = "fetch")]
const FETCH_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(20);

/// What becomes of values that stand in `env` and `headers`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImportValues {
    /// They become `${NAME}`; the values themselves stay where they are.
    #[default]
    Reference,
    /// They are copied as they are. In our own format they are then shown like any plain text.
    Keep,
}

/// How an import is made.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// What `${workspaceFolder}` stands for; `None`: told by where the file stands.
    pub workspace: Option<PathBuf>,
    /// What becomes of values that may be secrets.
    pub values: ImportValues,
    /// Whether images can be run: then they count more than programs and remote servers.
    pub containers: bool,
    /// The name of the server, where the file has one.
    pub name: Option<ServerId>,
    /// Only these servers, by their names in the file or here; empty: all.
    pub only: Vec<String>,
}

/// What came of an import.
#[derive(Clone, Debug, Default)]
pub struct Imported {
    /// The servers, by their new names, in the order of the file.
    pub servers: Vec<(ServerId, ServerEntry)>,
    /// The variables that the new entries name.
    pub variables: Vec<ImportedVariable>,
    /// What somebody should have seen before the servers run.
    pub risks: Vec<Risk>,
    /// What is worth saying, as a changed name.
    pub notices: Vec<Notice>,
}

/// A variable that imported servers need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedVariable {
    /// Its name.
    pub name: String,
    /// Where it is used, as `github.env.TOKEN`.
    pub used_by: Vec<String>,
    /// Whether the foreign file has its value, which was not copied.
    pub left_behind: bool,
    /// Whether the foreign file names it itself, so that it may be one that the gateway has for something else.
    pub theirs: bool,
}

/// Reads a foreign file for an import.
///
/// # Errors
/// Everything that is wrong with it; it is no such file.
pub fn import_file(file: &Path, options: &ImportOptions) -> Result<Imported, Problems> {
    let text = load::read(file).map_err(|message| refused(file, message))?;
    import_text(file, &text, options)
}

/// The same for one that stands elsewhere, as a `server.json` in the registry.
///
/// # Errors
/// As [`import_file`], and why it cannot be had.
#[cfg(feature = "fetch")]
pub async fn import_url(url: &str, options: &ImportOptions) -> Result<Imported, Problems> {
    use crate::fetch::{AddressGuard, Ask, Fetcher, Redirects, Trust};
    use crate::outbound::Connector;
    let fetcher = Fetcher::new(AddressGuard::default(), FETCH_TIMEOUT, Connector::default());
    // Whoever types it says what is asked.
    let ask = Ask::get(url, Trust::Configured, Redirects::Follow);
    let answer = fetcher.ask(ask).await;
    let text = answer.map_err(|error| error.to_string()).and_then(|it| {
        if !it.status.is_success() {
            return Err(format!("it answered {}", it.status));
        }
        load::decode(&it.body)
    });
    let text = text.map_err(|why| refused(Path::new(url), why))?;
    import_text(Path::new(url), &text, options)
}

/// The same for a text at hand.
///
/// # Errors
/// As [`import_file`].
pub fn import_text(file: &Path, text: &str, options: &ImportOptions) -> Result<Imported, Problems> {
    let name: Arc<Path> = file.into();
    let at = |flaw: Flaw| {
        let mut report = Report::default();
        report.problem(&name, Some(flaw.position), &flaw.path, flaw.message);
        finish(report)
    };
    let mut trees = trees(file, text).map_err(at)?.into_iter();
    let Some(tree) = trees.next() else {
        return Err(refused(file, "the file is empty"));
    };
    let rest: Vec<Node> = trees.collect();
    if foreign::catalog(&tree).is_some() {
        let trees: Vec<Node> = std::iter::once(tree).chain(rest).collect();
        return catalog::imported(&name, &trees, options);
    }
    if !rest.is_empty() {
        let message = "the file holds a second document: use a file for each";
        return Err(refused(file, message));
    }
    let Some(found) = Found::for_import(&tree, file) else {
        let ours = tree.get("servers").is_some() || tree.get("gateways").is_some();
        return Err(refused(
            file,
            if ours {
                "this is a file of our own format: name it by --config, or copy its entries"
            } else {
                "no servers are found in this file: there is no `mcpServers`, `servers`, `context_servers`, `mcp`, \
                 `mcp_servers` or `extensions` of a program that is known here, and it is no description of a registry"
            },
        ));
    };
    from_program(&name, tree, &found, options)
}

/// The documents of a text. A file that is named as TOML is TOML, also where it comes from elsewhere.
fn trees(file: &Path, text: &str) -> Result<Vec<Node>, Flaw> {
    if file.extension().is_some_and(|end| end == "toml") {
        return Ok(vec![foreign::parse_toml(text)?]);
    }
    let text = jsonc::readable(file, text);
    parse::documents(&text)
}

/// The servers of another program's file.
fn from_program(
    name: &Arc<Path>,
    tree: Node,
    found: &Found,
    options: &ImportOptions,
) -> Result<Imported, Problems> {
    let mut report = Report::default();
    let elsewhere = name.to_string_lossy().contains("://");
    let folder = name.parent().filter(|_| !elsewhere);
    let folder = folder.map(std::path::absolute).and_then(Result::ok);
    let folder = folder.unwrap_or_default();
    let workspace = options.workspace.clone();
    let workspace = workspace.unwrap_or_else(|| foreign::workspace(&folder));
    let inputs = foreign::inputs(&tree);
    let source = Source {
        file: Arc::clone(name),
        folder: workspace.clone(),
        dialect: Dialect::Foreign { workspace, inputs },
        tree: tree.into(),
    };
    let mut entries = found.servers(&source, &mut report);
    entries.retain(|entry| options.wants(&[&entry.key, &entry.label]));
    let alone = entries.len() == 1;
    let mut translation = Translation::new(&source, options.values);
    let mut imported = Imported::default();
    for entry in entries {
        let at = source.key_position(&entry.path);
        let id = match options.name.clone().filter(|_| alone) {
            Some(name) => Ok(name),
            None => ServerId::new(&entry.label),
        };
        let id = match id {
            Ok(id) => id,
            Err(error) => {
                report.problem(&source.file, at, &entry.path, error.to_string());
                continue;
            }
        };
        if entry.key != id.as_str() {
            let message = format!("it is called {id} here");
            report.notice(&source.file, at, &entry.path, message);
        }
        let path = entry.path.clone();
        let made = translation.entry(&id, entry.entry);
        for notice in translation.take_notices() {
            report.notice(&source.file, at, &path, notice);
        }
        risk::assess(
            &id,
            &made,
            Origin::Program(options.values),
            &mut imported.risks,
        );
        imported.servers.push((id, made));
    }
    named_once(name, &mut report, options, imported.servers.len());
    imported.variables = translation.variables();
    imported.notices = report.finish(&[])?;
    Ok(imported)
}

/// A name that is given can be that of one server alone.
fn named_once(file: &Arc<Path>, report: &mut Report, options: &ImportOptions, servers: usize) {
    if options.name.is_some() && servers > 1 {
        let message = format!(
            "a name is given for one server, and the file has {servers}: choose one of them"
        );
        report.problem(file, None, &KeyPath::default(), message);
    }
}

impl ImportOptions {
    /// Whether a server of one of these names is wanted.
    fn wants(&self, names: &[&str]) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| names.contains(&only.as_str()))
    }
}

fn refused(file: &Path, message: impl Into<String>) -> Problems {
    let mut report = Report::default();
    report.problem(&file.into(), None, &KeyPath::default(), message);
    finish(report)
}

fn finish(report: Report) -> Problems {
    report.finish(&[]).err().unwrap_or(Problems {
        problems: Vec::new(),
        notices: Vec::new(),
    })
}

/// `api-key` and `apiKey` → `API_KEY`.
fn variable_name(name: &str) -> String {
    let mut variable = String::with_capacity(name.len() + 4);
    let mut small = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && small {
            variable.push('_');
        }
        small = c.is_ascii_lowercase();
        variable.push(if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        });
    }
    variable
}

/// The variable for a value of a server. Its beginning keeps it from being one that the gateway has for something
/// else: a server `aws` with a value `secret_access_key` gets nobody's key.
fn server_variable(server: &ServerId, name: &str) -> String {
    format!(
        "MCP_{}_{}",
        variable_name(server.as_str()),
        variable_name(name)
    )
}
