//! Files of the programs that write `mcpServers`. With those of `mcp_servers`, each program has at least ten.

use super::{Case, Entry, LeftOut, Notice, Refused, check};
use crate::config::ImportOptions;

const CLAUDE: &[Case<'_>] = &[
    (
        ".mcp.json",
        r#"{"mcpServers": {"a": {"type": "stdio", "command": "npx", "args": ["-y", "x"], "env": {"K": "${K:-v}"}}}}"#,
        &[Entry(&["- npx", "- x", "K: ${K:-v}"])],
    ),
    (
        ".mcp.json",
        r#"{"mcpServers": {"a": {"type": "sse", "url": "https://a.example/sse", "headers": {"X-Key": "${TOKEN}"}}}}"#,
        &[Entry(&[
            "url: https://a.example/sse",
            "type: sse",
            "X-Key: ${TOKEN}",
        ])],
    ),
    (
        "claude_desktop_config.json",
        r#"{"mcpServers": {"a": {"command": "npx", "args": ["mcp-remote", "https://a.example/mcp", "--header", "Authorization:Bearer ${TOKEN}"], "env": {"TOKEN": "t"}}}, "globalShortcut": ""}"#,
        &[Entry(&["- mcp-remote", "- Authorization:Bearer ${TOKEN}"])],
    ),
    (
        ".claude.json",
        r#"{"numStartups": 3, "mcpServers": {"a": {"type": "http", "url": "https://a.example/mcp"}}, "projects": {"/p": {"mcpServers": {}}}}"#,
        &[Entry(&["url: https://a.example/mcp"])],
    ),
    (
        ".mcp.json",
        r#"{"mcpServers": {"a": {"type": "http", "url": "https://a.example/mcp", "oauth": {"clientId": "c", "authServerMetadataUrl": "https://i.example/.well-known/x", "scopes": "r w"}}}}"#,
        &[Entry(&[
            "oauth:",
            "client_id: c",
            "metadata_url: https://i.example/.well-known/x",
        ])],
    ),
    (
        "settings.json",
        r#"{"disabledMcpServers": ["a"], "mcpServers": {"a": {"command": "x"}, "b": {"command": "y"}}}"#,
        &[Entry(&["b:"]), Notice("disabled in this file")],
    ),
];

const CURSOR: &[Case<'_>] = &[
    (
        "/p/.cursor/mcp.json",
        r#"{"mcpServers": {"a": {"type": "stdio", "command": "python", "args": ["mcp-server.py"], "env": {"API_KEY": "${env:TOKEN}"}}}}"#,
        &[Entry(&["- python", "API_KEY: ${TOKEN}"])],
    ),
    (
        "/p/.cursor/mcp.json",
        r#"{"mcpServers": {"a": {"url": "https://a.example/mcp", "headers": {"Authorization": "Bearer ${env:TOKEN}"}}}}"#,
        &[Entry(&[
            "url: https://a.example/mcp",
            "Authorization: Bearer ${TOKEN}",
        ])],
    ),
    (
        "/p/.cursor/mcp.json",
        r#"{"mcpServers": {"a": {"url": "https://a.example/sse", "transport": "sse"}}}"#,
        &[Entry(&["type: sse"])],
    ),
    (
        "/p/.cursor/mcp.json",
        r#"{"mcpServers": {"a b": {"command": "x"}, "C_D": {"command": "y"}}}"#,
        &[Entry(&["a-b:"]), Entry(&["c-d:"]), Notice("renamed to a-b")],
    ),
    (
        "/p/.cursor/mcp.json",
        r#"{"mcpServers": {"a": {"command": "x", "args": ["${workspaceFolderBasename}", "${pathSeparator}"]}}}"#,
        &[Entry(&["- x"])],
    ),
    (
        "/p/.cursor/mcp.json",
        r#"{"mcpServers": {"a": {"command": "x", "disabled": true}}}"#,
        &[LeftOut("disabled in this file")],
    ),
    (
        "/p/.cursor/mcp.json",
        "{\n  // local\n  \"mcpServers\": {\"a\": {\"command\": \"x\", \"args\": [],},},\n}",
        &[Entry(&["- x"])],
    ),
    (
        "/p/.cursor/mcp.json",
        r#"{"mcpServers": {"a": "#,
        &[Refused("mcp.json:1:")],
    ),
];

const WINDSURF: &[Case<'_>] = &[
    (
        "mcp_config.json",
        r#"{"mcpServers": {"a": {"command": "npx", "args": ["-y", "x"], "env": {"K": "${env:TOKEN}"}}}}"#,
        &[Entry(&["- npx", "K: ${TOKEN}"])],
    ),
    (
        "mcp_config.json",
        r#"{"mcpServers": {"a": {"serverUrl": "https://a.example/mcp", "headers": {"Authorization": "Bearer ${env:TOKEN}"}}}}"#,
        &[Entry(&[
            "url: https://a.example/mcp",
            "Authorization: Bearer ${TOKEN}",
        ])],
    ),
    (
        "mcp_config.json",
        r#"{"mcpServers": {"a": {"url": "https://a.example/mcp"}}}"#,
        &[Entry(&["url: https://a.example/mcp"])],
    ),
    (
        "mcp_config.json",
        r#"{"mcpServers": {"a": {"serverUrl": "https://${env:NAME}.example/mcp"}}}"#,
        &[Entry(&["url: https://${NAME}.example/mcp"])],
    ),
    (
        "mcp_config.json",
        r#"{"mcpServers": {"a": {"command": "x", "alwaysAllow": ["t"], "disabled": false}}}"#,
        &[Entry(&["- x"]), Notice("alwaysAllow: ignored")],
    ),
    (
        "mcp_config.json",
        r#"{"mcpServers": {"a": {"command": "docker", "args": ["run", "-i", "--rm", "-e", "T", "img"], "env": {"T": ""}}}}"#,
        &[Entry(&["- docker", "- run", "- img"])],
    ),
    ("mcp_config.json", r#"{"mcpServers": {}}"#, &[LeftOut("")]),
    (
        "mcp_config.json",
        r#"{"mcpServers": {"a": {"serverUrl": "https://a.example/mcp", "headers": ["X"]}}}"#,
        &[Refused("expected NAME=VALUE")],
    ),
];

const CLINE: &[Case<'_>] = &[
    (
        "cline_mcp_settings.json",
        r#"{"mcpServers": {"a": {"command": "node", "args": ["/s.js"], "env": {"K": "v"}, "alwaysAllow": ["t"], "disabled": false}}}"#,
        &[
            Entry(&["- node", "- /s.js", "K: ${MCP_A_K}"]),
            Notice("alwaysAllow"),
        ],
    ),
    (
        "cline_mcp_settings.json",
        r#"{"mcpServers": {"a": {"url": "https://a.example/mcp", "headers": {"Authorization": "Bearer t"}, "disabled": false}}}"#,
        &[Entry(&["Authorization: ${MCP_A_AUTHORIZATION}"])],
    ),
    (
        "cline_mcp_settings.json",
        r#"{"mcpServers": {"a": {"type": "sse", "url": "https://a.example/sse"}}}"#,
        &[Entry(&["type: sse"])],
    ),
    (
        "cline_mcp_settings.json",
        r#"{"mcpServers": {"a": {"transportType": "stdio", "command": "x", "timeout": 60}}}"#,
        &[Entry(&["- x"]), Notice("timeout")],
    ),
    (
        "cline_mcp_settings.json",
        r#"{"mcpServers": {"a": {"command": "x", "disabled": true}}}"#,
        &[LeftOut("disabled in this file")],
    ),
    (
        "cline_mcp_settings.json",
        r#"{"mcpServers": {"github.com/org/repo": {"command": "npx", "args": ["-y", "x"]}}}"#,
        &[Entry(&["- npx"]), Notice("renamed to")],
    ),
    (
        "cline_mcp_settings.json",
        r#"{"mcpServers": {"a": {"command": "x", "autoApprove": ["t"]}}}"#,
        &[Notice("autoApprove")],
    ),
    (
        "cline_mcp_settings.json",
        r#"{"mcpServers": {"a": {"command": "x", "cwd": "/w"}}}"#,
        &[Entry(&["cwd: /w"])],
    ),
    (
        "cline_mcp_settings.json",
        r#"{"mcpServers": {"a": {"command": "x", "disabled": false}}}"#,
        &[Entry(&["- x"])],
    ),
];

const ROO: &[Case<'_>] = &[
    (
        "/p/.roo/mcp.json",
        r#"{"mcpServers": {"a": {"type": "streamable-http", "url": "https://a.example/mcp", "headers": {"X": "${env:TOKEN}"}}}}"#,
        &[Entry(&["type: http", "X: ${TOKEN}"])],
    ),
    (
        "/p/.roo/mcp.json",
        r#"{"mcpServers": {"a": {"type": "sse", "url": "https://a.example/sse", "disabled": false}}}"#,
        &[Entry(&["type: sse"])],
    ),
    (
        "/p/.roo/mcp.json",
        r#"{"mcpServers": {"a": {"type": "stdio", "command": "x", "env": {"K": "${env:TOKEN}"}}}}"#,
        &[Entry(&["K: ${TOKEN}"])],
    ),
    (
        "mcp_settings.json",
        r#"{"mcpServers": {"a": {"command": "x", "disabled": true}}}"#,
        &[LeftOut("disabled in this file")],
    ),
    (
        "/p/.roo/mcp.json",
        r#"{"mcpServers": {"a": {"command": "x", "timeout": 300}}}"#,
        &[Notice("timeout")],
    ),
    (
        "/p/.roo/mcp.json",
        r#"{"mcpServers": {"a": {"command": "x", "disabledTools": ["t"]}}}"#,
        &[Notice("disabledTools: ignored")],
    ),
    (
        "/p/.roo/mcp.json",
        r#"{"mcpServers": {"a": {"command": "${workspaceFolder}/s"}}}"#,
        &[Entry(&["- /p/s"])],
    ),
    (
        "mcp_settings.json",
        r#"{"mcpServers": {"a": {"type": "grpc", "url": "https://a.example/"}}}"#,
        &[Refused("must be one of")],
    ),
    (
        "mcp_settings.json",
        r#"{"mcpServers": {"a": {"command": "cmd", "args": ["/c", "npx", "x"], "alwaysAllow": []}}}"#,
        &[Entry(&["- cmd", "- /c"])],
    ),
];

const GEMINI: &[Case<'_>] = &[
    (
        "settings.json",
        r#"{"mcpServers": {"a": {"command": "python", "args": ["-m", "s"], "cwd": "./srv", "timeout": 15000, "trust": false, "env": {"K": "$TOKEN"}}}}"#,
        &[Entry(&["- python", "timeout: 15s"])],
    ),
    (
        "settings.json",
        r#"{"mcpServers": {"a": {"url": "https://a.example/sse", "headers": {"X": "1"}}}}"#,
        &[Entry(&["url: https://a.example/sse"])],
    ),
    (
        "settings.json",
        r#"{"mcpServers": {"a": {"command": "x", "includeTools": ["t"], "excludeTools": ["u"]}}}"#,
        &[Notice("includeTools"), Notice("excludeTools")],
    ),
    (
        "settings.json",
        r#"{"mcpServers": {"a": {"httpUrl": "https://a.example/mcp", "authProviderType": "service_account_impersonation", "targetAudience": "x", "targetServiceAccount": "y"}}}"#,
        &[Notice("is not supported"), Notice("targetAudience")],
    ),
    (
        "gemini-extension.json",
        r#"{"name": "e", "version": "1", "mcpServers": {"a": {"command": "node", "args": ["${extensionPath}/s.js"]}}}"#,
        &[Entry(&["- node"])],
    ),
    (
        "settings.json",
        r#"{"theme": "x", "mcpServers": {"a": {"type": "http", "url": "https://a.example/mcp", "description": "d"}}}"#,
        &[Entry(&["type: http"])],
    ),
];

#[test]
fn files_of_claude_cursor_windsurf_and_cline_are_read() {
    for cases in [CLAUDE, CURSOR, WINDSURF, CLINE] {
        check(cases, &ImportOptions::default());
    }
}

#[test]
fn files_of_roo_and_gemini_are_read() {
    for cases in [ROO, GEMINI] {
        check(cases, &ImportOptions::default());
    }
}
