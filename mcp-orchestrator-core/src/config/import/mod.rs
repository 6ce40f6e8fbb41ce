//! Imports a foreign file, or a description of installable servers, as entries in our own format.
//!
//! Imported content is not trusted. The only variables of the gateway's environment that an entry reads are named by
//! the foreign file itself, and they are listed. A value of `env` or `headers` may be a secret, so it is not copied but
//! becomes a variable that is named after the server. Anything that could run other code than it appears to is
//! rejected, or listed as a [`Risk`] that the user must accept.

mod builder;
mod catalog;
mod docker;
mod registry;
mod resources;
mod risk;
mod risky_variables;
mod toolhive;
mod translate;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::risk::Origin;
pub use self::risk::Risk;
use self::translate::Translation;
use super::foreign::{self, Found};
use super::load;
use crate::config::resolve::scope::Source;
use crate::config::schema::server::ServerEntry;
use crate::config::source::diagnostics::{KeyPath, Notice, Problems, Report};
use crate::config::source::interpolate::Dialect;
use crate::config::source::jsonc;
use crate::config::source::node::{Flaw, Node};
use crate::config::source::toml;
use crate::config::source::yaml;
use crate::id::ServerId;

/// Maximum time to fetch a remote file.
#[cfg(feature = "fetch")]
const FETCH_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(20);

/// What happens to values in `env` and `headers`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImportValues {
    /// They become `${NAME}`; the values themselves are not copied.
    #[default]
    Reference,
    /// They are copied unchanged, and are then shown like any plain text.
    Keep,
}

/// Options of an import.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// The value of `${workspaceFolder}`; `None` derives it from the location of the file.
    pub workspace: Option<PathBuf>,
    /// What happens to values that may be secrets.
    pub values: ImportValues,
    /// `true` if images can run; they are then preferred over programs and remote servers.
    pub containers: bool,
    /// The name for the server, if the file contains exactly one.
    pub name: Option<ServerId>,
    /// Import only these servers, by their names in the file or here; empty imports all.
    pub only: Vec<String>,
}

/// Result of an import.
#[derive(Clone, Debug, Default)]
pub struct Imported {
    /// The servers under their new names, in the order of the file.
    pub servers: Vec<(ServerId, ServerEntry)>,
    /// The variables that the entries name.
    pub variables: Vec<ImportedVariable>,
    /// Risks that the user should review before the servers run.
    pub risks: Vec<Risk>,
    /// Notices, for example about changed names.
    pub notices: Vec<Notice>,
}

/// A variable that imported servers need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedVariable {
    /// The name of the variable.
    pub name: String,
    /// The keys that use it, such as `github.env.TOKEN`.
    pub used_by: Vec<String>,
    /// `true` if the foreign file contains the value, which was not copied.
    pub left_behind: bool,
    /// `true` if the foreign file names the variable, so that it may be one that the gateway has for another purpose.
    pub theirs: bool,
}

/// Imports a foreign file.
///
/// # Errors
/// All problems of the file, or that it is not a known format.
pub fn import_file(file: &Path, options: &ImportOptions) -> Result<Imported, Problems> {
    let text = load::read(file).map_err(|message| refused(file, message))?;
    import_text(file, &text, options)
}

/// Imports a file from a URL, such as a `server.json` in the registry.
///
/// # Errors
/// As for [`import_file`], or why the file cannot be fetched.
#[cfg(feature = "fetch")]
pub async fn import_url(url: &str, options: &ImportOptions) -> Result<Imported, Problems> {
    use crate::fetch::{AddressGuard, Ask, Fetcher, Redirects, Trust};
    use crate::outbound::Connector;
    let fetcher = Fetcher::new(AddressGuard::default(), FETCH_TIMEOUT, Connector::default());
    // The user typed the URL, so it may be fetched.
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

/// Imports a text.
///
/// # Errors
/// As for [`import_file`].
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

/// Parses the documents of a text. A file with the extension `toml` is parsed as TOML, even if it was fetched.
fn trees(file: &Path, text: &str) -> Result<Vec<Node>, Flaw> {
    if file.extension().is_some_and(|end| end == "toml") {
        return Ok(vec![toml::parse(text)?]);
    }
    let text = jsonc::readable(file, text);
    yaml::documents(&text)
}

/// Imports the servers of a foreign file.
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

/// Reports a problem if a name is given for more than one server.
fn named_once(file: &Arc<Path>, report: &mut Report, options: &ImportOptions, servers: usize) {
    if options.name.is_some() && servers > 1 {
        let message = format!(
            "a name is given for one server, and the file has {servers}: choose one of them"
        );
        report.problem(file, None, &KeyPath::default(), message);
    }
}

impl ImportOptions {
    /// Returns `true` if a server with one of these names is to be imported.
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

/// Converts `api-key` and `apiKey` to `API_KEY`.
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

/// Returns the variable for a value of a server. The prefix prevents collisions with variables that the gateway has for
/// another purpose: a server `aws` with a value `secret_access_key` does not read the gateway's key.
fn server_variable(server: &ServerId, name: &str) -> String {
    format!(
        "MCP_{}_{}",
        variable_name(server.as_str()),
        variable_name(name)
    )
}
