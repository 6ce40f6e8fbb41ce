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
    Json(fn(&str) -> Value),
    Toml,
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
            |url| json!({"command": "npx", "args": ["-y", "mcp-remote", url]}),
        ),
        N::Cursor => client(
            Home,
            ".cursor/mcp.json",
            "mcpServers",
            |url| json!({"url": url}),
        ),
        N::VsCode => client(Here, ".vscode/mcp.json", "servers", typed),
        N::Windsurf => client(
            Home,
            ".codeium/windsurf/mcp_config.json",
            "mcpServers",
            |url| json!({"serverUrl": url}),
        ),
        N::Gemini => client(
            Home,
            ".gemini/settings.json",
            "mcpServers",
            |url| json!({"httpUrl": url}),
        ),
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
            |url| json!({"url": url}),
        ),
        N::OpenCode => client(
            Home,
            ".config/opencode/opencode.json",
            "mcp",
            |url| json!({"type": "remote", "url": url, "enabled": true}),
        ),
    }
}

fn typed(url: &str) -> Value {
    json!({"type": "http", "url": url})
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
    pub(crate) fn snippet(&self, name: &str, url: &str) -> String {
        match self.entry {
            Entry::Json(entry) => format!("{:#}\n", json!({ self.key: { name: entry(url) } })),
            Entry::Toml => toml::table(self.key, name, url),
        }
    }

    /// Puts the server into its file; all else stays as it is.
    pub(crate) fn write(&self, file: &Path, name: &str, url: &str) -> Result<Change, Failure> {
        let text = place::read(file)?;
        let changed = match (&text, self.entry) {
            (None, _) => Ok(self.snippet(name, url)),
            (Some(text), Entry::Json(entry)) => json::put(text, self.key, name, &entry(url)),
            (Some(text), Entry::Toml) => toml::put(text, self.key, name, url),
        };
        let changed = changed.map_err(|why| {
            let snippet = self.snippet(name, url);
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
}
