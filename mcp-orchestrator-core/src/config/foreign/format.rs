//! The formats of foreign files.

/// The format of a foreign file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Format {
    /// `mcpServers`: Claude, Cursor, Windsurf, Cline, Roo, Gemini CLI, Kiro, Amazon Q, LibreChat and most others.
    McpServers,
    /// `servers`, optionally with `inputs`: VS Code, Visual Studio, Copilot in JetBrains, Xcode and Eclipse.
    VsCode,
    /// Only servers, as in plugins of Claude Code.
    Flat,
    /// `context_servers` of Zed.
    Zed,
    /// `mcp` of opencode.
    OpenCode,
    /// `mcp` of Crush.
    Crush,
    /// `mcp_servers` of Codex.
    Codex,
    /// `extensions` of Goose.
    Goose,
    /// `mcpServers` as a list: Continue.
    Continue,
}
