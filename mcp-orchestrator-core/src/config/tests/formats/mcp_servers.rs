//! `mcpServers` in the variants of the programs that use it.

use super::{Case, Entry, LeftOut, Notice, Refused, check, load};
use crate::config::ImportOptions;

const CASES: &[Case<'_>] = &[
    // Claude Code
    (
        ".mcp.json",
        r#"{"mcpServers": {"a": {"type": "http", "url": "${BASE:-https://a.example}/mcp", "headers": {"Authorization": "Bearer ${TOKEN}"}}}}"#,
        &[Entry(&[
            "url: ${BASE:-https://a.example}/mcp",
            "Authorization: Bearer ${TOKEN}",
        ])],
    ),
    (
        ".mcp.json",
        r#"{"mcpServers": {"a": {"url": "https://a.example/mcp", "headersHelper": "/bin/get-token"}}}"#,
        &[Notice(
            "headersHelper: ignored, although it affects authentication",
        )],
    ),
    (
        ".mcp.json",
        r#"{"mcpServers": {"a": {"type": "http", "url": "https://a.example/mcp", "oauth": {"clientId": "c1", "callbackPort": 8080}}}}"#,
        &[Entry(&["oauth:", "client_id: c1"])],
    ),
    (
        "settings.json",
        r#"{"disabledMcpjsonServers": ["a"], "mcpServers": {"a": {"command": "x"}}}"#,
        &[LeftOut("disabled in this file")],
    ),
    (
        "/p/.mcp.json",
        r#"{"mcpServers": {"a": {"command": "${CLAUDE_PLUGIN_ROOT}/bin/s", "args": ["--config", "${CLAUDE_PLUGIN_ROOT}/c.json"]}}}"#,
        &[Entry(&["- /p/bin/s", "- /p/c.json"])],
    ),
    // a plugin's flat form
    (
        "/p/.mcp.json",
        r#"{"a": {"command": "npx", "args": ["-y", "x"]}, "b": {"url": "https://b.example/mcp"}}"#,
        &[Entry(&["a:", "- npx", "b:", "url: https://b.example/mcp"])],
    ),
    // Cursor
    (
        "/p/.cursor/mcp.json",
        r#"{"mcpServers": {"a": {"command": "uvx", "args": ["${workspaceFolder}/s", "${userHome}/d"], "envFile": "${workspaceFolder}/.env"}}}"#,
        &[Entry(&["- /p/s", "- ${HOME}/d", "env_file: /p/.env"])],
    ),
    (
        "/p/.cursor/mcp.json",
        r#"{"mcpServers": {"a": {"url": "https://a.example/mcp", "auth": {"CLIENT_ID": "c", "CLIENT_SECRET": "${env:SECRET}", "scopes": ["r", "w"]}}}}"#,
        &[
            Entry(&["oauth:", "scopes:", "client_id: c"]),
            Notice("the secret of its client is left out"),
        ],
    ),
    // Gemini CLI and LibreChat name the issuer's endpoints
    (
        "settings.json",
        r#"{"mcpServers": {"a": {"httpUrl": "https://a.example/mcp", "oauth": {"clientId": "c", "clientSecret": "s", "authorizationUrl": "https://i.example/a", "tokenUrl": "https://i.example/t"}}}}"#,
        &[Entry(&[
            "client_secret: ${MCP_A_CLIENT_SECRET}",
            "authorization_endpoint: https://i.example/a",
            "token_endpoint: https://i.example/t",
        ])],
    ),
    // Windsurf
    (
        "mcp_config.json",
        r#"{"mcpServers": {"a": {"serverUrl": "https://a.example/mcp", "headers": {"X": "1"}, "disabledTools": ["t"]}}}"#,
        &[
            Entry(&["url: https://a.example/mcp"]),
            Notice("disabledTools: ignored: all tools are exposed"),
        ],
    ),
    (
        "mcp_config.json",
        r#"{"mcpServers": {"a": {"serverUrl": "https://a.example/mcp", "disabled": true}}}"#,
        &[LeftOut("disabled in this file")],
    ),
    // Cline
    (
        "cline_mcp_settings.json",
        r#"{"mcpServers": {"a": {"type": "streamableHttp", "url": "https://a.example/mcp", "timeout": 60, "autoApprove": ["x"], "disabled": false}}}"#,
        &[
            Entry(&["type: http"]),
            Notice("autoApprove"),
            Notice("timeout"),
        ],
    ),
    // Roo
    (
        "/p/.roo/mcp.json",
        r#"{"mcpServers": {"a": {"command": "npx", "args": ["-y", "x"], "alwaysAllow": ["t"], "watchPaths": ["/w"], "cwd": "sub"}}}"#,
        &[
            Entry(&["cwd: /p/sub"]),
            Notice("alwaysAllow, watchPaths: ignored"),
        ],
    ),
    // Gemini CLI
    (
        "settings.json",
        r#"{"mcpServers": {"a": {"httpUrl": "https://a.example/mcp", "url": "https://a.example/sse", "timeout": 30000}}}"#,
        &[
            Entry(&["url: https://a.example/mcp", "timeout: 30s"]),
            Notice("takes precedence"),
        ],
    ),
    (
        "settings.json",
        r#"{"mcp": {"excluded": ["a"]}, "mcpServers": {"a": {"command": "x"}}}"#,
        &[LeftOut("disabled in this file")],
    ),
    (
        "settings.json",
        r#"{"mcp": {"allowed": ["b"]}, "mcpServers": {"a": {"command": "x"}, "b": {"command": "y", "trust": true}}}"#,
        &[
            Entry(&["b:"]),
            Notice("`mcp.allowed` does not list this server"),
            Notice("trust"),
        ],
    ),
    (
        "settings.json",
        r#"{"mcpServers": {"a": {"httpUrl": "https://a.example/mcp", "authProviderType": "google_credentials", "oauth": {"scopes": ["s"]}}}}"#,
        &[
            Notice("\"google_credentials\" is not supported"),
            Entry(&["scopes:", "- s"]),
        ],
    ),
    (
        "settings.json",
        r#"{"mcpServers": {"a": {"url": "https://a.example/mcp", "authProviderType": "dynamic_discovery"}}}"#,
        &[Entry(&["oauth: true"])],
    ),
    // Kiro, Amazon Q
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"command": "uvx", "args": ["x@latest"], "env": {"LOG": "ERROR"}, "disabled": false, "autoApprove": [], "disabledTools": []}}}"#,
        &[Entry(&["LOG: ${MCP_A_LOG}"])],
    ),
    (
        "agent.json",
        r#"{"name": "q", "mcpServers": {"a": {"command": "x", "timeout": 120000}}, "tools": ["*"]}"#,
        &[Entry(&["- x"]), Notice("timeout: ignored")],
    ),
    // words for "off"
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"command": "x", "isActive": false}}}"#,
        &[LeftOut("disabled in this file")],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"command": "x", "enabled": "false"}}}"#,
        &[LeftOut("disabled in this file")],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"command": "x", "enabled": true, "active": false}}}"#,
        &[LeftOut("disabled in this file")],
    ),
    // transports
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"transport": {"type": "sse", "url": "https://a.example/sse"}}}}"#,
        &[Entry(&["url: https://a.example/sse", "type: sse"])],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"transport": {"type": "stdio", "command": "x", "args": ["y"]}}}}"#,
        &[Entry(&["- x", "- y"])],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"transport": "Streamable-HTTP", "url": "https://a.example/"}}}"#,
        &[Entry(&["type: http"])],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"type": "websocket", "url": "wss://a.example/"}}}"#,
        &[Refused("mcpServers.a.type: must be one of")],
    ),
    // authentication
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"url": "https://a.example/", "auth": "oauth"}}}"#,
        &[Entry(&["oauth: true"])],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"url": "https://a.example/", "auth": "tok"}}}"#,
        &[Entry(&["Authorization: ${MCP_A_AUTHORIZATION}"])],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"url": "https://a.example/", "bearerToken": "tok"}}}"#,
        &[Entry(&["Authorization: ${MCP_A_AUTHORIZATION}"])],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"url": "https://a.example/", "oauth": false}}}"#,
        &[Entry(&["oauth: false"])],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"url": "https://a.example/", "tls": {"cert": "x"}}}}"#,
        &[Notice("tls: ignored, although it affects")],
    ),
    // both
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"command": "x", "url": "https://a.example/"}}}"#,
        &[Entry(&["- x"]), Notice("`command` takes precedence")],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"type": "sse", "command": "x", "url": "https://a.example/", "env": {"A": "b"}}}}"#,
        &[
            Entry(&["url:"]),
            Notice("command: ignored: this server is reached at its URL"),
        ],
    ),
    // what is wrong
    ("mcp.json", r#"{"mcpServers": []}"#, &[LeftOut("")]),
    (
        "mcp.json",
        r#"{"mcpServers": "x"}"#,
        &[Refused("a mapping of names")],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"a": 1}}"#,
        &[Refused("expected a mapping")],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"command": "x", "args": {"b": 1}}}}"#,
        &[Refused("args: expected a list")],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"command": "x", "env": ["A=b", "c"]}}}"#,
        &[Refused("env[1]: expected NAME=VALUE")],
    ),
    // LibreChat
    (
        "librechat.yaml",
        "version: 1.2.1\nmcpServers:\n  a:\n    type: streamable-http\n    url: https://a.example/\n    headers: {X-Auth: 'Bearer {{KEY}}'}\n    timeout: 30000\n    initTimeout: 10000\n    customUserVars:\n      KEY: {title: Key, description: Your key}\n",
        &[
            Entry(&["timeout: 30s", "start_timeout: 10s"]),
            Entry(&["description: Your key", "name: X-Auth", "prefix: 'Bearer "]),
        ],
    ),
    (
        "librechat.yaml",
        "mcpServers:\n  a:\n    url: https://a.example/sse\n    headers: {X-User-ID: '{{LIBRECHAT_USER_ID}}'}\n    serverInstructions: true\n    requiresOAuth: true\n",
        &[
            Entry(&["oauth: true"]),
            Notice("X-User-ID is left out"),
            Notice("serverInstructions"),
        ],
    ),
    (
        "librechat.yaml",
        "mcpServers:\n  a: {command: npx, args: [-y, x], startup: false, iconPath: /x, env: {K: '{{K}}'}, customUserVars: {K: {title: t}}}\n",
        &[Entry(&["env: K"]), Notice("startup")],
    ),
    // Amp
    (
        "settings.json",
        r#"{"amp.mcpServers": {"a": {"command": "x"}}}"#,
        &[Entry(&["- x"])],
    ),
];

#[test]
fn every_dialect_of_mcp_servers_is_read() {
    check(CASES, &ImportOptions::default());
}

#[test]
fn disabled_servers_are_skipped() {
    for key in [
        "\"enabled\": false",
        "\"isActive\": false",
        "\"disabled\": true",
        "\"active\": \"false\"",
    ] {
        let text = format!(r#"{{"mcpServers": {{"a": {{"command": "sh", {key}}}}}}}"#);
        let loaded = load("mcp.json", &text).unwrap();
        assert!(loaded.settings.servers.is_empty(), "{key}");
        assert!(
            loaded.notices[0].message.contains("disabled in this file"),
            "{key}"
        );
    }
}

#[test]
fn non_latin_names_do_not_collide_with_other_servers() {
    let text = r#"{"mcpServers": {"地図": {"command": "sh"}, "ок": {"command": "sh"}, "ok": {"command": "sh"}}}"#;
    let loaded = load("mcp.json", text).unwrap();
    let names: Vec<_> = loaded
        .settings
        .servers
        .iter()
        .map(|server| server.id.to_string())
        .collect();
    assert_eq!(names.len(), 3);
    assert!(
        names[0].starts_with("server-") && names[1].starts_with("server-") && names[0] != names[1]
    );
    let again = load("mcp.json", text).unwrap();
    assert_eq!(again.settings.servers[0].id.as_str(), names[0]);
}
