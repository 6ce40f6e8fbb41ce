//! Imports a foreign file, or a description of installable servers, as entries in our own format.
//!
//! Imported content is not trusted. The only variables of the gateway's environment that an entry reads are named by
//! the foreign file itself, and they are listed. A value of `env` or `headers` may be a secret, so it is not copied but
//! becomes a variable that is named after the server. Anything that could run other code than it appears to is
//! rejected, or listed as a [`Risk`] that the user must accept.

mod builder;
mod catalog;
mod docker;
mod imported;
mod offer;
mod options;
mod registry;
mod resources;
mod risk;
mod risky_variables;
mod toolhive;
mod translate;

use std::path::Path;
use std::sync::Arc;

pub use self::imported::{Imported, ImportedVariable};
pub use self::options::{ImportOptions, ImportValues};
use self::risk::Origin;
pub use self::risk::Risk;
use self::translate::Translation;
use super::foreign::{self, ForeignFile};
use crate::config::source::diagnostics::{KeyPath, Problems, Report};
use crate::config::source::interpolate::Dialect;
use crate::config::source::jsonc;
use crate::config::source::node::{Flaw, Node};
use crate::config::source::parsed_file::ParsedFile;
use crate::config::source::read;
use crate::config::source::toml;
use crate::config::source::yaml;
use crate::id::ServerId;

/// Maximum time to fetch a remote file.
#[cfg(feature = "fetch")]
const FETCH_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(20);

/// Imports a foreign file.
///
/// # Errors
/// All problems of the file, or that it is not a known format.
pub fn import_file(file: &Path, options: &ImportOptions) -> Result<Imported, Problems> {
    let text = read::read(file).map_err(|message| refused(file, message))?;
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
        read::decode(&it.body)
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
        let message = "the file contains several documents; use one file for each";
        return Err(refused(file, message));
    }
    let Some(found) = ForeignFile::for_import(&tree, file) else {
        let ours = tree.get("servers").is_some() || tree.get("gateways").is_some();
        return Err(refused(
            file,
            if ours {
                "this file is already in mcp-orchestrator's format; use it with --config, or copy its entries"
            } else {
                "no servers found: expected a key `mcpServers`, `servers`, `context_servers`, `mcp`, `mcp_servers` or \
                 `extensions`, as other programs write it, or a registry's server.json"
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
    let text = jsonc::strip_comments(file, text);
    yaml::documents(&text)
}

/// Imports the servers of a foreign file.
fn from_program(
    name: &Arc<Path>,
    tree: Node,
    found: &ForeignFile,
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
    let source = ParsedFile {
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
            let message = format!("renamed to {id}");
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
    options.check_name(name, &mut report, imported.servers.len());
    imported.variables = translation.variables();
    imported.notices = report.finish(&[])?;
    Ok(imported)
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
