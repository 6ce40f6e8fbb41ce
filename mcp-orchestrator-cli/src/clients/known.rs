//! Known clients: the file and the entry format of each.

use clap::ValueEnum;
use serde_json::{Value, json};

use super::{Base, Client, Endpoint, Entry, PLACEHOLDER, TOKEN};

/// The clients that `connect` supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClientName {
    /// Amazon Q Developer
    AmazonQ,
    /// Amp
    Amp,
    /// Google Antigravity
    Antigravity,
    /// Claude Code, for this user
    ClaudeCode,
    /// Claude Desktop, by the program mcp-remote
    ClaudeDesktop,
    /// Cline
    Cline,
    /// Codex
    Codex,
    /// Continue
    Continue,
    /// GitHub Copilot CLI
    CopilotCli,
    /// Crush
    Crush,
    /// Cursor
    Cursor,
    /// Factory (droid)
    Factory,
    /// Gemini CLI
    Gemini,
    /// Goose
    Goose,
    /// GitHub Copilot in JetBrains IDEs
    #[value(name = "jetbrains-copilot")]
    JetBrainsCopilot,
    /// Kilo Code
    Kilo,
    /// Kiro
    Kiro,
    /// LM Studio
    LmStudio,
    /// opencode
    #[value(name = "opencode")]
    OpenCode,
    /// Qwen Code
    Qwen,
    /// Roo Code, for this folder
    Roo,
    /// Visual Studio, for this user
    VisualStudio,
    /// Visual Studio Code, for this folder
    #[value(name = "vscode")]
    VsCode,
    /// Windsurf
    Windsurf,
    /// Zed
    Zed,
}

/// A client with a JSON file: base directory, path, key of the servers, and format of an entry.
type Row = (
    ClientName,
    Base,
    &'static str,
    &'static str,
    fn(&Endpoint) -> Value,
);

const CLAUDE_DESKTOP: &str = "Claude/claude_desktop_config.json";
const CLINE: &str = ".cline/data/settings/cline_mcp_settings.json";
const CONTINUE: &str = ".continue/mcpServers/mcp-orchestrator.json";
const JETBRAINS: &str = ".config/github-copilot/intellij/mcp.json";
const OPENCODE: &str = ".config/opencode/opencode.json";
const WINDSURF: &str = ".codeium/windsurf/mcp_config.json";
const ANTIGRAVITY: &str = ".gemini/antigravity/mcp_config.json";

#[rustfmt::skip]
const ROWS: &[Row] = {
    use Base::{Config, Here, Home};
    use ClientName as N;
    &[
        (N::AmazonQ, Home, ".aws/amazonq/mcp.json", "mcpServers", |to| to.http(PLACEHOLDER)),
        (N::Amp, Home, ".config/amp/settings.json", "amp.mcpServers", |to| to.named("url", BRACES)),
        (N::Antigravity, Home, ANTIGRAVITY, "mcpServers", |to| to.named("serverUrl", PLACEHOLDER)),
        (N::ClaudeCode, Home, ".claude.json", "mcpServers", |to| to.http(BRACES)),
        (N::ClaudeDesktop, Config, CLAUDE_DESKTOP, "mcpServers", mcp_remote),
        (N::Cline, Home, CLINE, "mcpServers", cline),
        (N::Continue, Home, CONTINUE, "mcpServers", |to| to.http(PLACEHOLDER)),
        (N::CopilotCli, Home, ".copilot/mcp-config.json", "mcpServers", copilot_cli),
        (N::Crush, Home, ".config/crush/crush.json", "mcp", |to| to.http(DOLLAR)),
        (N::Cursor, Home, ".cursor/mcp.json", "mcpServers", |to| to.named("url", EDITOR)),
        (N::Factory, Home, ".factory/mcp.json", "mcpServers", |to| to.http(PLACEHOLDER)),
        (N::Gemini, Home, ".gemini/settings.json", "mcpServers", |to| to.named("httpUrl", DOLLAR)),
        (N::JetBrainsCopilot, Home, JETBRAINS, "servers", request_init),
        (N::Kilo, Home, ".config/kilo/kilo.jsonc", "mcp", remote),
        (N::Kiro, Home, ".kiro/settings/mcp.json", "mcpServers", |to| to.named("url", BRACES)),
        (N::LmStudio, Home, ".lmstudio/mcp.json", "mcpServers", |to| to.named("url", PLACEHOLDER)),
        (N::OpenCode, Home, OPENCODE, "mcp", remote),
        (N::Qwen, Home, ".qwen/settings.json", "mcpServers", |to| to.named("httpUrl", DOLLAR)),
        (N::Roo, Here, ".roo/mcp.json", "mcpServers", roo),
        (N::VisualStudio, Home, ".mcp.json", "servers", |to| to.http(PLACEHOLDER)),
        (N::VsCode, Here, ".vscode/mcp.json", "servers", |to| to.http(EDITOR)),
        (N::Windsurf, Home, WINDSURF, "mcpServers", |to| to.named("serverUrl", EDITOR)),
        (N::Zed, Home, ".config/zed/settings.json", "context_servers", |to| to.named("url", PLACEHOLDER)),
    ]
};

// How clients write a reference to the variable.
const BRACES: &str = "${MCP_ORCHESTRATOR_TOKEN}";
const DOLLAR: &str = "$MCP_ORCHESTRATOR_TOKEN";
const EDITOR: &str = "${env:MCP_ORCHESTRATOR_TOKEN}";

/// Returns a client. Only the files of Codex and Goose are not JSON.
pub(crate) fn get(name: ClientName) -> Client {
    let row = ROWS.iter().find(|(known, ..)| *known == name);
    match row {
        Some((_, base, path, key, entry)) => Client {
            base: *base,
            path,
            key,
            entry: Entry::Json(*entry),
        },
        None if name == ClientName::Goose => Client {
            base: Base::Home,
            path: ".config/goose/config.yaml",
            key: "extensions",
            entry: Entry::Yaml,
        },
        None => Client {
            base: Base::Home,
            path: ".codex/config.toml",
            key: "mcp_servers",
            entry: Entry::Toml,
        },
    }
}

impl Endpoint {
    fn http(&self, token: &str) -> Value {
        self.entry(json!({"type": "http", "url": self.url}), token)
    }

    /// Creates an entry with the URL under this key.
    fn named(&self, key: &str, token: &str) -> Value {
        self.entry(json!({ key: self.url }), token)
    }
}

fn cline(to: &Endpoint) -> Value {
    let entry = json!({"type": "streamableHttp", "url": to.url, "disabled": false});
    to.entry(entry, PLACEHOLDER)
}

fn copilot_cli(to: &Endpoint) -> Value {
    let entry = json!({"type": "http", "url": to.url, "tools": ["*"]});
    to.entry(entry, PLACEHOLDER)
}

fn roo(to: &Endpoint) -> Value {
    let entry = json!({"type": "streamable-http", "url": to.url});
    to.entry(entry, EDITOR)
}

fn remote(to: &Endpoint) -> Value {
    let entry = json!({"type": "remote", "url": to.url, "enabled": true});
    to.entry(entry, "{env:MCP_ORCHESTRATOR_TOKEN}")
}

/// Headers are nested in `requestInit`.
fn request_init(to: &Endpoint) -> Value {
    let mut entry = json!({"url": to.url});
    if to.with_token {
        let headers = json!({ "Authorization": format!("Bearer {PLACEHOLDER}") });
        entry["requestInit"] = json!({ "headers": headers });
    }
    entry
}

/// mcp-remote has its own syntax for headers, and gets variables only from `env`.
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
        entry["env"] = json!({ TOKEN: PLACEHOLDER });
    }
    entry
}
