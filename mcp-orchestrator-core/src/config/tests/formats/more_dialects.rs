//! Files of programs with dialects of `mcpServers`, and of Copilot outside VS Code. With those of `mcp_servers` and
//! `clients`, each has at least ten.

use super::{Case, Entry, LeftOut, Notice, Refused, check};
use crate::config::ImportOptions;

const KIRO: &[Case<'_>] = &[
    (
        "/p/.kiro/settings/mcp.json",
        r#"{"mcpServers": {"a": {"command": "uvx", "args": ["x@latest"], "env": {"K": "${TOKEN}"}, "autoApprove": ["t"]}}}"#,
        &[Entry(&["- uvx", "K: ${TOKEN}"]), Notice("autoApprove")],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"url": "https://a.example/mcp", "headers": {"Authorization": "Bearer ${TOKEN}"}, "disabled": false}}}"#,
        &[Entry(&["Authorization: Bearer ${TOKEN}"])],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"command": "x", "disabled": true, "disabledTools": []}}}"#,
        &[LeftOut("disabled in this file")],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"url": "https://a.example/mcp", "disabledTools": ["t"]}}}"#,
        &[Notice("disabledTools: ignored")],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"url": "https://a.example/mcp", "oauth": {"redirectUri": "127.0.0.1:7777", "oauthScopes": ["r"]}}}}"#,
        &[Entry(&["oauth:", "scopes:", "- r"])],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"url": "https://a.example/mcp", "oauth": {"clientId": "c", "oauth_scopes": "r w"}}}}"#,
        &[Entry(&["oauth:", "scopes:", "- r", "- w", "client_id: c"])],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"url": "https://a.example/mcp", "auth": {"oauthScopes": ["r", "w"]}}}}"#,
        &[Entry(&["oauth:", "scopes:", "- r", "- w"])],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"url": "http://localhost:3000/mcp"}}}"#,
        &[Entry(&["url: http://localhost:3000/mcp"])],
    ),
    (
        "agent.json",
        r#"{"name": "k", "prompt": "p", "mcpServers": {"a": {"command": "x"}}, "includeMcpJson": true, "allowedTools": ["@a"]}"#,
        &[Entry(&["- x"])],
    ),
    (
        "mcp.json",
        r#"{"powers": {"mcpServers": {}}, "mcpServers": {"a": {"command": "x"}}}"#,
        &[Entry(&["- x"])],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"command": ["uvx", "x"]}}}"#,
        &[Entry(&["- uvx", "- x"])],
    ),
];

const AMAZON_Q: &[Case<'_>] = &[
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"command": "uvx", "args": ["x@latest"], "env": {"AWS_PROFILE": "p"}, "timeout": 60000, "disabled": false}}}"#,
        &[Entry(&["- uvx", "AWS_PROFILE"]), Notice("timeout")],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"type": "http", "url": "https://a.example/mcp"}}}"#,
        &[Entry(&["type: http"])],
    ),
    (
        "default.json",
        r#"{"mcpServers": {"a": {"type": "http", "url": "https://a.example/mcp", "oauthScopes": ["r"]}}, "tools": ["@a"], "toolsSettings": {}}"#,
        &[Entry(&["url:", "oauth:", "scopes:", "r"])],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"command": "x", "disabled": true}}}"#,
        &[LeftOut("disabled in this file")],
    ),
    (
        "agent.json",
        r#"{"name": "q", "useLegacyMcpJson": true, "mcpServers": {"a": {"command": "x", "env": {"T": "${env:TOKEN}"}}}}"#,
        &[Entry(&["T: ${TOKEN}"])],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"command": "x", "autoApprove": ["t"]}}}"#,
        &[Notice("autoApprove")],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"url": "https://a.example/mcp", "headers": {"X": 5}}}}"#,
        &[Entry(&["X: ${MCP_A_X}"])],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"command": "docker", "args": ["run", "--rm", "-i", "--privileged", "img"]}}}"#,
        &[Entry(&["- docker"]), Notice("--privileged")],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"command": "x", "args": {"b": 1}}}}"#,
        &[Refused("args: expected a list, found a mapping")],
    ),
];

/// A plugin's file contains only servers.
const PLUGIN: &[Case<'_>] = &[
    (
        "/p/.mcp.json",
        r#"{"a": {"command": "${CLAUDE_PLUGIN_ROOT}/bin/s", "args": ["--data", "${CLAUDE_PLUGIN_ROOT}/d"]}}"#,
        &[Entry(&["- /p/bin/s", "- /p/d"])],
    ),
    (
        "/p/.mcp.json",
        r#"{"a": {"type": "http", "url": "https://a.example/mcp", "headers": {"Authorization": "Bearer ${TOKEN}"}}}"#,
        &[Entry(&["type: http", "Authorization: Bearer ${TOKEN}"])],
    ),
    (
        "/p/.mcp.json",
        r#"{"a": {"type": "sse", "url": "https://a.example/sse"}}"#,
        &[Entry(&["type: sse"])],
    ),
    (
        "/p/.mcp.json",
        r#"{"$schema": "https://s.example/", "a": {"command": "x"}}"#,
        &[Entry(&["a:", "- x"])],
    ),
    (
        "/p/.mcp.json",
        r#"{"a": {"command": "x", "env": {"K": "${K:-v}"}}, "b": {"command": "y"}, "c": {"url": "https://c.example/"}}"#,
        &[Entry(&["K: ${K:-v}"]), Entry(&["b:"]), Entry(&["c:"])],
    ),
    (
        "/p/.mcp.json",
        r#"{"a": {"command": "x", "disabled": true}}"#,
        &[LeftOut("disabled in this file")],
    ),
    (
        "/p/.mcp.json",
        r#"{"A B": {"command": "x"}}"#,
        &[Entry(&["a-b:"]), Notice("renamed to a-b")],
    ),
    (
        "/p/.mcp.json",
        r#"{"a": {"command": "x", "alwaysLoad": true}}"#,
        &[Entry(&["- x"]), Notice("alwaysLoad: ignored")],
    ),
    (
        "/p/.mcp.json",
        r#"{"a": 1}"#,
        &[Refused("no servers found")],
    ),
];

const LIBRECHAT: &[Case<'_>] = &[
    (
        "librechat.yaml",
        "version: 1.2.1\nendpoints: {}\nmcpServers:\n  a:\n    command: npx\n    args: [-y, x]\n    timeout: 60000\n    initTimeout: 20000\n",
        &[Entry(&["timeout: 1m", "start_timeout: 20s"])],
    ),
    (
        "librechat.yaml",
        "mcpServers:\n  a:\n    type: sse\n    url: https://a.example/sse\n    headers:\n      Authorization: \"Bearer ${TOKEN}\"\n",
        &[Entry(&["type: sse", "Authorization: Bearer ${TOKEN}"])],
    ),
    (
        "librechat.yaml",
        "mcpServers:\n  a:\n    type: websocket\n    url: wss://a.example/\n",
        &[Refused("must be one of")],
    ),
    (
        "librechat.yaml",
        "mcpServers:\n  a:\n    type: streamable-http\n    url: https://a.example/mcp\n    oauth:\n      authorization_url: https://i.example/a\n      token_url: https://i.example/t\n      client_id: c\n      client_secret: s\n      scope: r w\n      redirect_uri: https://l.example/cb\n",
        &[Entry(&[
            "scopes:",
            "client_id: c",
            "client_secret: ${MCP_A_CLIENT_SECRET}",
            "authorization_endpoint: https://i.example/a",
        ])],
    ),
    (
        "librechat.yaml",
        "mcpServers:\n  a:\n    url: https://a.example/mcp\n    chatMenu: false\n    serverInstructions: Use it.\n",
        &[Notice("chatMenu"), Notice("serverInstructions")],
    ),
    (
        "librechat.yaml",
        "mcpServers:\n  a:\n    url: \"https://{{USER}}.example/mcp\"\n    customUserVars:\n      USER: {title: User}\n",
        &[LeftOut("only that program knows")],
    ),
    (
        "librechat.yaml",
        "mcpServers:\n  a:\n    command: x\n    stderr: inherit\n    env:\n      USER_ID: \"{{LIBRECHAT_USER_ID}}\"\n      K: v\n",
        &[
            Entry(&["K: ${MCP_A_K}"]),
            Notice("USER_ID is left out"),
            Notice("stderr"),
        ],
    ),
    (
        "librechat.yaml",
        "mcpServers:\n  a:\n    url: https://a.example/mcp\n    apiKey: {source: admin, key: k}\n",
        &[Notice(
            "apiKey: ignored, although it affects authentication",
        )],
    ),
];

/// GitHub Copilot in JetBrains IDEs, Xcode and Eclipse.
const COPILOT: &[Case<'_>] = &[
    (
        "mcp.json",
        r#"{"servers": {"a": {"type": "stdio", "command": "npx", "args": ["-y", "x"], "env": {"K": "v"}}}}"#,
        &[Entry(&["- npx", "K: ${MCP_A_K}"])],
    ),
    (
        "mcp.json",
        r#"{"servers": {"a": {"type": "http", "url": "https://a.example/mcp", "requestInit": {"headers": {"X-Key": "k", "Y": "z"}}}}}"#,
        &[Entry(&["X-Key: ${MCP_A_X_KEY}", "Y: ${MCP_A_Y}"])],
    ),
    (
        "mcp.json",
        r#"{"servers": {"a": {"url": "https://a.example/mcp", "requestInit": {}}}}"#,
        &[Entry(&["url: https://a.example/mcp"])],
    ),
    (
        "mcp.json",
        r#"{"servers": {"a": {"url": "https://a.example/sse", "type": "sse", "requestInit": {"headers": {"X": "1"}}, "eventSourceInit": {"withCredentials": true}}}}"#,
        &[
            Entry(&["type: sse", "X: ${MCP_A_X}"]),
            Notice("withCredentials: ignored"),
        ],
    ),
    (
        "mcp.json",
        r#"{"servers": {"a": {"url": "https://a.example/mcp", "requestInit": {"headers": {"Authorization": "Bearer ${input:tok}"}}}}, "inputs": [{"id": "tok", "type": "promptString", "password": true}]}"#,
        &[Entry(&["Authorization: Bearer ${MCP_INPUT_TOK}"])],
    ),
    (
        "mcp.json",
        r#"{"servers": {"a": {"url": "https://a.example/mcp", "requestInit": {"method": "POST", "headers": {"X": "1"}}}}}"#,
        &[Entry(&["X:"]), Notice("method: ignored")],
    ),
    (
        "mcp.json",
        r#"{"servers": {"a": {"url": "https://a.example/mcp", "headers": {"X": "1"}, "requestInit": {"headers": {"Y": "2"}}}}}"#,
        &[Entry(&["X: ${MCP_A_X}", "Y: ${MCP_A_Y}"])],
    ),
    (
        "mcp.json",
        r#"{"servers": {"a": {"url": "https://a.example/mcp", "requestInit": "x"}}}"#,
        &[Refused("requestInit: expected a mapping, found a string")],
    ),
    (
        "mcp.json",
        r#"{"servers": {"a": {"command": "x", "requestInit": {"headers": {"X": "1"}}}}}"#,
        &[Entry(&["- x"]), Notice("headers need a server with a URL")],
    ),
];

#[test]
fn files_of_kiro_amazon_q_and_plugins_are_read() {
    for cases in [KIRO, AMAZON_Q, PLUGIN] {
        check(cases, &ImportOptions::default());
    }
}

#[test]
fn files_of_librechat_and_copilot_are_read() {
    for cases in [LIBRECHAT, COPILOT] {
        check(cases, &ImportOptions::default());
    }
}
