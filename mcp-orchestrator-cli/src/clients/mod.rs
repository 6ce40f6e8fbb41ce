//! MCP clients: where each keeps its servers, and in which form it names one.

mod json;
mod place;
mod toml;

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_json::{Value, json};

use crate::exit::Failure;

/// The clients that `connect` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClientName {
    /// Claude Code, for this user
    ClaudeCode,
    /// Claude Desktop, which reaches an address by the program mcp-remote
    ClaudeDesktop,
    /// Cursor
    Cursor,
    /// Visual Studio Code, for this folder
    #[value(name = "vscode")]
    VsCode,
    /// Windsurf
    Windsurf,
    /// Gemini CLI
    Gemini,
    /// Codex CLI
    Codex,
    /// Zed
    Zed,
    /// opencode
    #[value(name = "opencode")]
    OpenCode,
}

/// Where a client's file stands.
#[derive(Clone, Copy, Debug)]
enum Base {
    /// Below the home folder.
    Home,
    /// Below the folder of applications' settings.
    Config,
    /// Below the current folder.
    Here,
}

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    base: Base,
    path: &'static str,
    /// The key that holds the servers.
    key: &'static str,
    entry: Entry,
}

/// How a client names a server.
#[derive(Clone, Copy, Debug)]
enum Entry {
    Json(fn(&Endpoint) -> Value),
    Toml,
}

/// What a client connects to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) url: String,
    /// The client sends the token in the variable [`TOKEN`].
    pub(crate) with_token: bool,
}

/// The variable from which clients take their token.
pub(crate) const TOKEN: &str = "MCP_ORCHESTRATOR_TOKEN";

impl Endpoint {
    /// An entry with the header of a token: `variable` is the client's own way to write the value of [`TOKEN`].
    fn entry(&self, mut entry: Value, variable: &str) -> Value {
        if self.with_token {
            entry["headers"] = json!({ "Authorization": format!("Bearer {variable}") });
        }
        entry
    }
}

/// What writing a client's file did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It stood there already.
    None,
    /// It was written; the file as it was stands in the backup.
    Made(Option<PathBuf>),
}

/// What is known of a client.
pub(crate) fn get(name: ClientName) -> Client {
    use Base::{Config, Here, Home};
    use ClientName as N;
    let client = |base, path, key, entry| Client {
        base,
        path,
        key,
        entry: Entry::Json(entry),
    };
    match name {
        N::ClaudeCode => client(Home, ".claude.json", "mcpServers", typed),
        N::ClaudeDesktop => client(
            Config,
            "Claude/claude_desktop_config.json",
            "mcpServers",
            mcp_remote,
        ),
        N::Cursor => client(Home, ".cursor/mcp.json", "mcpServers", |to| {
            to.entry(json!({"url": to.url}), "${env:MCP_ORCHESTRATOR_TOKEN}")
        }),
        N::VsCode => client(Here, ".vscode/mcp.json", "servers", |to| {
            let entry = json!({"type": "http", "url": to.url});
            to.entry(entry, "${env:MCP_ORCHESTRATOR_TOKEN}")
        }),
        N::Windsurf => client(
            Home,
            ".codeium/windsurf/mcp_config.json",
            "mcpServers",
            |to| {
                to.entry(
                    json!({"serverUrl": to.url}),
                    "${env:MCP_ORCHESTRATOR_TOKEN}",
                )
            },
        ),
        N::Gemini => client(Home, ".gemini/settings.json", "mcpServers", |to| {
            to.entry(json!({"httpUrl": to.url}), "$MCP_ORCHESTRATOR_TOKEN")
        }),
        N::Codex => Client {
            base: Home,
            path: ".codex/config.toml",
            key: "mcp_servers",
            entry: Entry::Toml,
        },
        N::Zed => client(
            Home,
            ".config/zed/settings.json",
            "context_servers",
            // Zed fills in no variables.
            |to| to.entry(json!({"url": to.url}), "PUT-THE-TOKEN-HERE"),
        ),
        N::OpenCode => client(Home, ".config/opencode/opencode.json", "mcp", |to| {
            let entry = json!({"type": "remote", "url": to.url, "enabled": true});
            to.entry(entry, "{env:MCP_ORCHESTRATOR_TOKEN}")
        }),
    }
}

fn typed(to: &Endpoint) -> Value {
    let entry = json!({"type": "http", "url": to.url});
    to.entry(entry, "${MCP_ORCHESTRATOR_TOKEN}")
}

/// The program's own way to write a header; it gets variables from `env` alone.
fn mcp_remote(to: &Endpoint) -> Value {
    let mut entry = json!({"command": "npx", "args": ["-y", "mcp-remote", to.url]});
    if to.with_token {
        let args = [
            "-y",
            "mcp-remote",
            &to.url,
            "--header",
            "Authorization:Bearer ${MCP_ORCHESTRATOR_TOKEN}",
        ];
        entry["args"] = json!(args);
        entry["env"] = json!({ TOKEN: "PUT-THE-TOKEN-HERE" });
    }
    entry
}

impl Client {
    /// Where its file stands.
    pub(crate) fn file(&self) -> Result<PathBuf, Failure> {
        let home = || {
            let home = std::env::var_os("HOME").map(PathBuf::from);
            home.ok_or_else(|| Failure::usage("HOME is not set: name the client's file by --file"))
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

    /// What a file holds that has nothing else.
    pub(crate) fn snippet(&self, name: &str, to: &Endpoint) -> String {
        match self.entry {
            Entry::Json(entry) => format!("{:#}\n", json!({ self.key: { name: entry(to) } })),
            Entry::Toml => toml::table(self.key, name, to),
        }
    }

    /// Puts the server into its file; all else stays as it is.
    pub(crate) fn write(&self, file: &Path, name: &str, to: &Endpoint) -> Result<Change, Failure> {
        let text = place::read(file)?;
        let changed = match (&text, self.entry) {
            (None, _) => Ok(self.snippet(name, to)),
            (Some(text), Entry::Json(entry)) => json::put(text, self.key, name, &entry(to)),
            (Some(text), Entry::Toml) => toml::put(text, self.key, name, to),
        };
        let changed = changed.map_err(|why| {
            let snippet = self.snippet(name, to);
            Failure::failed(format!(
                "{} was left as it is: {why}\n  put this into it by hand:\n{snippet}",
                file.display()
            ))
        })?;
        if text.as_ref() == Some(&changed) {
            return Ok(Change::None);
        }
        place::replace(file, text.is_some(), &changed).map(Change::Made)
    }

    /// Whether the client takes the token from the variable, not from its file.
    pub(crate) fn reads_variable(&self) -> bool {
        let to = Endpoint {
            url: String::new(),
            with_token: true,
        };
        !self.snippet("x", &to).contains("PUT-THE-TOKEN-HERE")
    }

    /// Takes the server out of its file; all else stays as it is.
    pub(crate) fn remove(&self, file: &Path, name: &str) -> Result<Change, Failure> {
        let Some(text) = place::read(file)? else {
            return Ok(Change::None);
        };
        let changed = match self.entry {
            Entry::Json(_) => json::remove(&text, self.key, name),
            Entry::Toml => toml::remove(&text, self.key, name),
        };
        let changed = changed.map_err(|why| {
            Failure::failed(format!(
                "{} was left as it is: {why}\n  take {name} out of {} by hand",
                file.display(),
                self.key
            ))
        })?;
        match changed {
            None => Ok(Change::None),
            Some(changed) => place::replace(file, true, &changed).map(Change::Made),
        }
    }
}
