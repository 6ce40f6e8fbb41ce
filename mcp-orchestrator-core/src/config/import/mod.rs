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
mod program_file;
mod registry;
mod resources;
mod risk;
mod risky_variables;
mod toolhive;
mod translate;
mod verify;

use std::path::Path;
use std::sync::Arc;

pub use self::imported::{Imported, ImportedVariable};
pub use self::options::{ImportOptions, ImportValues};
pub use self::risk::Risk;
use super::foreign::{self, ForeignFile};
use crate::config::source::diagnostics::{KeyPath, Problems, Report};
use crate::config::source::jsonc;
use crate::config::source::node::{Flaw, Node};
use crate::config::source::read;
use crate::config::source::toml;
use crate::config::source::yaml;

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
        if tree.get("manifest_version").is_some() && tree.get("server").is_some() {
            let message = "this is the manifest of a bundle (mcpb), which only desktop programs unpack; unpack it and \
                           add its command with `mcp-orchestrator add`";
            return Err(refused(file, message));
        }
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
    program_file::imported(&name, tree, &found, options)
}

/// Parses the documents of a text. A file with the extension `toml` is parsed as TOML, even if it was fetched.
fn trees(file: &Path, text: &str) -> Result<Vec<Node>, Flaw> {
    if file.extension().is_some_and(|end| end == "toml") {
        return Ok(vec![toml::parse(text)?]);
    }
    let text = jsonc::strip_comments(file, text);
    yaml::documents(&text)
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
