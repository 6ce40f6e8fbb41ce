//! MCP clients: where each keeps its servers, and the format of its entries.

mod files;
mod json;
mod known;
mod toml;
mod yaml;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

pub(crate) use self::known::{ClientName, get};
use crate::exit::Failure;

/// Base directory of a client's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    /// The home directory.
    Home,
    /// The directory of application settings.
    Config,
    /// The current directory.
    Here,
}

/// An MCP client.
#[derive(Debug)]
pub(crate) struct Client {
    base: Base,
    path: &'static str,
    /// Key of the servers in the file.
    key: &'static str,
    entry: Entry,
}

/// Format of a server entry.
#[derive(Clone, Copy, Debug)]
enum Entry {
    Json(fn(&Endpoint) -> Value),
    Toml,
    Yaml,
}

/// The server entry for the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) url: String,
    /// Set if the client must send the token in the variable [`TOKEN`].
    pub(crate) with_token: bool,
}

/// Placeholder for the token, for clients that expand no variables.
pub(crate) const PLACEHOLDER: &str = "PUT-THE-TOKEN-HERE";
/// The environment variable from which clients read the token.
pub(crate) const TOKEN: &str = "MCP_ORCHESTRATOR_TOKEN";

impl Endpoint {
    /// Adds the header with the token. `variable` is the client's syntax for the value of [`TOKEN`].
    fn entry(&self, mut entry: Value, variable: &str) -> Value {
        if self.with_token {
            entry["headers"] = json!({ "Authorization": format!("Bearer {variable}") });
        }
        entry
    }
}

/// Result of writing a client's file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The file was up to date.
    None,
    /// The file was written. Contains the backup of an existing file.
    Made(Option<PathBuf>),
}

impl Client {
    /// Returns `true` if the client seems to be installed: its directory exists, or its file if that is directly in
    /// the home directory. Always `false` for files in the current directory.
    pub(crate) fn is_found(&self) -> bool {
        let Ok(file) = self.file() else { return false };
        if self.base == Base::Here {
            return false;
        }
        match self.path.split_once('/') {
            // For example `.claude.json`, beside the directory `.claude`.
            None => file.is_file() || file.with_extension("").is_dir(),
            // The client creates this directory, but not the one below it.
            Some((top @ ".continue", _)) => file
                .ancestors()
                .any(|dir| dir.ends_with(top) && dir.is_dir()),
            Some(_) => file.parent().is_some_and(Path::is_dir),
        }
    }

    /// Returns `true` if the client's file contains a server with this name.
    pub(crate) fn names(&self, name: &str) -> bool {
        let text = self.file().and_then(|file| files::read(&file));
        let Ok(Some(text)) = text else { return false };
        let removed = match self.entry {
            Entry::Json(_) => json::remove(&text, self.key, name),
            Entry::Toml => toml::remove(&text, self.key, name),
            Entry::Yaml => yaml::remove(&text, self.key, name),
        };
        removed.is_ok_and(|removed| removed.is_some())
    }

    /// Returns the path of the client's file.
    pub(crate) fn file(&self) -> Result<PathBuf, Failure> {
        let home = || {
            let home = std::env::var_os("HOME").map(PathBuf::from);
            home.ok_or_else(|| {
                Failure::usage("HOME is not set; name the client's file with --file")
            })
        };
        Ok(match self.base {
            Base::Here => PathBuf::from(self.path),
            Base::Home => home()?.join(self.path),
            Base::Config if cfg!(target_os = "macos") => {
                home()?.join("Library/Application Support").join(self.path)
            }
            Base::Config => match std::env::var_os("XDG_CONFIG_HOME") {
                Some(folder) => PathBuf::from(folder).join(self.path),
                None => home()?.join(".config").join(self.path),
            },
        })
    }

    /// Returns the contents of a file that contains only this server.
    pub(crate) fn snippet(&self, name: &str, to: &Endpoint) -> String {
        match self.entry {
            Entry::Json(entry) => format!("{:#}\n", json!({ self.key: { name: entry(to) } })),
            Entry::Toml => toml::document(self.key, name, to),
            Entry::Yaml => yaml::document(self.key, name, to),
        }
    }

    /// Writes the server into the client's file and keeps everything else.
    pub(crate) fn write(&self, file: &Path, name: &str, to: &Endpoint) -> Result<Change, Failure> {
        let text = files::read(file)?;
        let changed = match (&text, self.entry) {
            (None, _) => Ok(self.snippet(name, to)),
            (Some(text), Entry::Json(entry)) => json::put(text, self.key, name, &entry(to)),
            (Some(text), Entry::Toml) => toml::put(text, self.key, name, to),
            (Some(text), Entry::Yaml) => yaml::put(text, self.key, name, to),
        };
        let changed = changed.map_err(|why| {
            let snippet = self.snippet(name, to);
            Failure::failed(format!(
                "{} was not changed: {why}\n  add this by hand:\n{snippet}",
                file.display()
            ))
        })?;
        if text.as_ref() == Some(&changed) {
            return Ok(Change::None);
        }
        files::replace(file, text.is_some(), &changed).map(Change::Made)
    }

    /// Returns `true` if the client reads the token from the variable instead of its file.
    pub(crate) fn reads_variable(&self) -> bool {
        let to = Endpoint {
            url: String::new(),
            with_token: true,
        };
        !self.snippet("x", &to).contains(PLACEHOLDER)
    }

    /// Removes the server from the client's file and keeps everything else.
    pub(crate) fn remove(&self, file: &Path, name: &str) -> Result<Change, Failure> {
        let Some(text) = files::read(file)? else {
            return Ok(Change::None);
        };
        let changed = match self.entry {
            Entry::Json(_) => json::remove(&text, self.key, name),
            Entry::Toml => toml::remove(&text, self.key, name),
            Entry::Yaml => yaml::remove(&text, self.key, name),
        };
        let changed = changed.map_err(|why| {
            Failure::failed(format!(
                "{} was not changed: {why}\n  remove {name} from {} by hand",
                file.display(),
                self.key
            ))
        })?;
        match changed {
            None => Ok(Change::None),
            Some(changed) => files::replace(file, true, &changed).map(Change::Made),
        }
    }
}
