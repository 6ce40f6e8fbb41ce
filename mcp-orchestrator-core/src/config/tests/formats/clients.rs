//! Programs with their own formats.

use super::{Case, Entry, LeftOut, Notice, Refused, check};
use crate::config::ImportOptions;

const VS_CODE: &[Case<'_>] = &[
    (
        "/p/.vscode/mcp.json",
        r#"{"inputs": [{"id": "region", "type": "pickString", "options": ["eu"], "default": "eu"}, {"id": "k", "type": "promptString", "password": true}],
            "servers": {"a": {"command": "npx", "args": ["~/x", "--r=${input:region}"], "cwd": "~", "env": {"K": "${input:k}"}}}}"#,
        &[Entry(&[
            "- ${HOME}/x",
            "--r=${MCP_INPUT_REGION:-eu}",
            "K: ${MCP_INPUT_K}",
            "cwd: ${HOME}",
        ])],
    ),
    (
        "/p/.vscode/mcp.json",
        r#"{"inputs": [{"id": "a-b"}, {"id": "a_b"}], "servers": {"a": {"command": "x", "args": ["${input:a-b}", "${input:a_b}"]}}}"#,
        &[
            Entry(&["- ${MCP_INPUT_A_B}", "- ${MCP_INPUT_A_B_2}"]),
            Notice("share the variable MCP_INPUT_A_B"),
        ],
    ),
    (
        "/p/.vscode/mcp.json",
        r#"{"inputs": [{"id": "k", "password": true, "default": "s3cret"}], "servers": {"a": {"command": "x", "env": {"K": "${input:k}"}}}}"#,
        &[
            Entry(&["K: ${MCP_INPUT_K}"]),
            Notice("the default of the input \"k\" is not copied"),
        ],
    ),
    // JetBrains, Xcode, Eclipse
    (
        "mcp.json",
        r#"{"servers": {"a": {"url": "https://a.example/mcp", "requestInit": {"headers": {"Authorization": "Bearer tok"}}}}}"#,
        &[Entry(&[
            "url: https://a.example/mcp",
            "Authorization: ${MCP_A_AUTHORIZATION}",
        ])],
    ),
    (
        "other.json",
        r#"{"servers": {"a": {"url": "https://a.example/mcp", "requestInit": {"headers": {"X": "1"}, "credentials": "include"}}}}"#,
        &[Entry(&["X: ${MCP_A_X}"]), Notice("credentials: ignored")],
    ),
    // settings.json, a development container, Visual Studio
    (
        "settings.json",
        r#"{"mcp": {"inputs": [], "servers": {"a": {"type": "stdio", "command": "x"}}}, "editor.fontSize": 12}"#,
        &[Entry(&["- x"])],
    ),
    (
        "devcontainer.json",
        r#"{"image": "x", "customizations": {"vscode": {"mcp": {"servers": {"a": {"command": "x"}}}}}}"#,
        &[Entry(&["- x"])],
    ),
    (
        ".mcp.json",
        r#"{"inputs": [], "servers": {"a": {"type": "http", "url": "https://a.example/", "sandboxEnabled": true}}}"#,
        &[Notice("without a sandbox")],
    ),
    (
        "mcp.json",
        r#"{"servers": {"a": {"command": "x", "gallery": true, "dev": {"watch": "*"}, "timeout": 3}}}"#,
        &[Entry(&["- x"]), Notice("timeout: ignored")],
    ),
    (
        "any.json",
        r#"{"servers": {"a": {"command": "x", "args": ["$${HOME}", "$$${TOKEN}", "${a.b}", "${"]}}}"#,
        &[Entry(&[
            "- ${:-$}${HOME}",
            "- ${:-$$}${TOKEN}",
            "- $${a.b}",
            "- $${",
        ])],
    ),
    // ours
    (
        "any.json",
        r#"{"servers": {"a": {"command": ["x"], "isolation": "session"}}}"#,
        &[Refused("already in mcp-orchestrator's format")],
    ),
    (
        "mcp.json",
        r#"{"servers": {"a": {"command": ["x"]}}, "audit": {"log": true}}"#,
        &[Refused("already in mcp-orchestrator's format")],
    ),
];

const ZED: &[Case<'_>] = &[
    (
        "settings.json",
        r#"{"context_servers": {"a": {"source": "custom", "command": "npx", "args": ["-y", "${X}"], "env": {"K": "v"}}}}"#,
        &[Entry(&["- $${X}", "K: ${MCP_A_K}"])],
    ),
    (
        "settings.json",
        r#"{"context_servers": {"a": {"command": {"path": "/bin/x", "args": ["y"], "env": {"A": "b"}}, "settings": {}}}}"#,
        &[
            Entry(&["- /bin/x", "- y", "A:"]),
            Notice("settings: ignored"),
        ],
    ),
    (
        "settings.json",
        r#"{"context_servers": {"a": {"url": "https://a.example/mcp", "headers": {"Authorization": "Bearer x"}}}}"#,
        &[Entry(&["url: https://a.example/mcp"])],
    ),
    (
        "settings.json",
        r#"{"context_servers": {"a": {"source": "extension", "enabled": true, "settings": {"token": "x"}}}}"#,
        &[LeftOut("a Zed extension")],
    ),
    (
        "settings.json",
        r#"{"context_servers": {"a": {"command": "x", "enabled": false}}}"#,
        &[LeftOut("disabled in this file")],
    ),
    (
        "settings.json",
        "{\n  // mine\n  \"theme\": \"One\", \"log\": {}, \"context_servers\": {\"a\": {\"command\": \"x\",}},\n}",
        &[Entry(&["- x"])],
    ),
    (
        "settings.json",
        r#"{"context_servers": {"a": {"command": "x", "timeout": 60000}}}"#,
        &[Notice("timeout")],
    ),
    (
        "settings.json",
        r#"{"context_servers": {"a": {"command": "x", "remote": true}}}"#,
        &[Notice("remote")],
    ),
    (
        "settings.json",
        r#"{"context_servers": {"a": {"command": 5}}}"#,
        &[Refused("a string or a list")],
    ),
    (
        "settings.json",
        r#"{"context_servers": {}}"#,
        &[LeftOut("")],
    ),
];

const OPENCODE: &[Case<'_>] = &[
    (
        "opencode.json",
        r#"{"mcp": {"a": {"type": "local", "command": ["npx", "-y", "x"], "environment": {"K": "{env:TOKEN}"}}}}"#,
        &[Entry(&["- npx", "- x", "K: ${TOKEN}"])],
    ),
    (
        "opencode.json",
        r#"{"mcp": {"a": {"type": "remote", "url": "https://a.example/mcp", "headers": {"Authorization": "Bearer {env:TOKEN}"}}}}"#,
        &[Entry(&["Authorization: Bearer ${TOKEN}"])],
    ),
    (
        "opencode.json",
        r#"{"mcp": {"a": {"type": "remote", "url": "https://a.example/mcp", "headers": {"Authorization": "Bearer {file:~/.tok}"}}}}"#,
        &[Entry(&["prefix: 'Bearer ", "from_file: ${HOME}/.tok"])],
    ),
    (
        "opencode.json",
        r#"{"mcp": {"a": {"type": "local", "command": ["x"], "environment": {"K": "{file:/k}"}}}}"#,
        &[Entry(&["env: K", "from_file: /k"])],
    ),
    (
        "opencode.json",
        r#"{"mcp": {"a": {"type": "local", "command": ["x"], "environment": {"K": "a{file:/k}b"}}}}"#,
        &[Notice("K is left out")],
    ),
    (
        "opencode.json",
        r#"{"mcp": {"a": {"type": "remote", "url": "https://a.example/mcp", "oauth": {"clientId": "c", "scope": "r w"}}}}"#,
        &[Entry(&["scopes:", "- r", "- w", "client_id: c"])],
    ),
    (
        "opencode.json",
        r#"{"mcp": {"a": {"type": "remote", "url": "https://a.example/mcp", "oauth": false}}}"#,
        &[Entry(&["oauth: false"])],
    ),
    (
        "opencode.json",
        r#"{"mcp": {"a": {"type": "local", "command": ["x"], "enabled": false}}}"#,
        &[LeftOut("disabled in this file")],
    ),
    (
        "opencode.jsonc",
        "{\n // x\n\"mcp\": {\"a\": {\"type\": \"local\", \"command\": [\"x\"], \"timeout\": 5000}}}",
        &[Entry(&["list_timeout: 5s"])],
    ),
    (
        "opencode.json",
        r#"{"mcp": {"a": {"enabled": true}, "b": {"type": "local", "command": ["x"]}}}"#,
        &[Notice("neither a `command` nor a `url`"), Entry(&["b:"])],
    ),
    (
        "opencode.json",
        r#"{"mcp": {"a": {"type": "local", "command": [["x"]]}}}"#,
        &[Refused("expected a string")],
    ),
];

const CRUSH: &[Case<'_>] = &[
    (
        "crush.json",
        r#"{"mcp": {"a": {"type": "stdio", "command": "node", "args": ["/x.js"], "env": {"K": "$TOKEN"}, "timeout": 120}}}"#,
        &[Entry(&["K: ${TOKEN}", "start_timeout: 2m"])],
    ),
    (
        "crush.json",
        r#"{"mcp": {"a": {"type": "http", "url": "https://a.example/mcp", "headers": {"Authorization": "Bearer $(echo $TOKEN)"}}}}"#,
        &[Entry(&["Authorization: Bearer ${TOKEN}"])],
    ),
    (
        "crush.json",
        r#"{"mcp": {"a": {"type": "http", "url": "https://a.example/mcp", "headers": {"X": "$(cat /etc/passwd)"}}}}"#,
        &[Notice("X is left out: its value comes from a command")],
    ),
    (
        "crush.json",
        r#"{"mcp": {"a": {"type": "sse", "url": "https://a.example/sse"}}}"#,
        &[Entry(&["type: sse"])],
    ),
    (
        "crush.json",
        r#"{"mcp": {"a": {"type": "stdio", "command": "x", "disabled": true}}}"#,
        &[LeftOut("disabled in this file")],
    ),
    (
        "crush.json",
        r#"{"mcp": {"a": {"type": "stdio", "command": "x", "disabled_tools": ["t"]}}}"#,
        &[Notice("disabled_tools")],
    ),
    (
        "crush.json",
        r#"{"mcp": {"a": {"type": "stdio", "command": "x", "args": ["$HOME/x", "a$1"]}}}"#,
        &[Entry(&["- ${HOME}/x", "- a$1"])],
    ),
    (
        "crush.json",
        r#"{"mcp": {"a": {"type": "stdio", "command": "x", "env": {"A": "${TOKEN:-d}"}}}}"#,
        &[Entry(&["A: ${TOKEN:-d}"])],
    ),
    (
        "crush.json",
        r#"{"mcp": {"a": {"type": "stdio", "command": "x", "timeout": "soon"}}}"#,
        &[Refused("expected a number")],
    ),
    (
        "crush.json",
        r#"{"mcp": {"a": {"type": "http", "url": "https://$NAME.example/"}}}"#,
        &[Entry(&["https://${NAME}.example/"])],
    ),
];

const CODEX: &[Case<'_>] = &[
    (
        "config.toml",
        "[mcp_servers.a]\ncommand = \"npx\"\nargs = [\"-y\", \"x\"]\nenv = { K = \"v\" }\n",
        &[Entry(&["- npx", "- x", "K: ${MCP_A_K}"])],
    ),
    (
        "config.toml",
        "[mcp_servers.a]\ncommand = \"x\"\n[mcp_servers.a.env]\nK = \"${HOME}\"\n",
        &[Entry(&["K: ${MCP_A_K}"])],
    ),
    (
        "config.toml",
        "[mcp_servers.a]\nurl = \"https://a.example/mcp\"\nbearer_token_env_var = \"TOKEN\"\n",
        &[Entry(&[
            "name: Authorization",
            "prefix: 'Bearer ",
            "from_env: TOKEN",
        ])],
    ),
    (
        "config.toml",
        "[mcp_servers.a]\nurl = \"https://a.example/mcp\"\nhttp_headers = { X = \"1\" }\nenv_http_headers = { Y = \"NAME\" }\n",
        &[Entry(&["X: ${MCP_A_X}", "header: Y", "from_env: NAME"])],
    ),
    (
        "config.toml",
        "[mcp_servers.a]\ncommand = \"x\"\nenabled = false\n",
        &[LeftOut("disabled in this file")],
    ),
    (
        "config.toml",
        "[mcp_servers.a]\ncommand = \"x\"\nstartup_timeout_sec = 20\ntool_timeout_sec = 45.5\n",
        &[Entry(&["timeout: 45s500ms", "start_timeout: 20s"])],
    ),
    (
        "config.toml",
        "[mcp_servers.a]\ncommand = \"x\"\nenv_vars = [\"NAME\", { name = \"TOKEN\", source = \"local\" }]\n",
        &[
            Entry(&["inherit_env:", "- NAME", "- TOKEN"]),
            Notice("it gets NAME of the gateway's environment"),
        ],
    ),
    (
        "config.toml",
        "[mcp_servers.a]\ncommand = \"x\"\nenabled_tools = [\"t\"]\n",
        &[Notice("enabled_tools")],
    ),
    (
        "config.toml",
        "[mcp_servers.a]\nurl = \"https://a.example/\"\nscopes = [\"r\"]\n",
        &[Entry(&["scopes:", "- r"])],
    ),
    (
        "config.toml",
        "[[mcp_servers]]\nname = \"a\"\ntransport = \"stdio\"\ncommand = \"x\"\n",
        &[Entry(&["a:", "- x"])],
    ),
    (
        "config.toml",
        "model = \"x\"\n",
        &[Refused("no servers found")],
    ),
    (
        "config.toml",
        "[mcp_servers.a\n",
        &[Refused("config.toml:1:")],
    ),
];

const GOOSE: &[Case<'_>] = &[
    (
        "config.yaml",
        "extensions:\n  a: {type: stdio, cmd: npx, args: [-y, x], enabled: true, envs: {K: v}, env_keys: [SECRET], timeout: 300}\n",
        &[Entry(&["K: ${MCP_A_K}", "env: SECRET", "timeout: 5m"])],
    ),
    (
        "config.yaml",
        "extensions:\n  a: {type: streamable_http, uri: https://a.example/mcp, headers: {X: $TOKEN}, enabled: true}\n",
        &[Entry(&["url: https://a.example/mcp", "X: ${TOKEN}"])],
    ),
    (
        "config.yaml",
        "extensions:\n  a: {type: sse, uri: https://a.example/sse, enabled: true}\n",
        &[Entry(&["type: sse"])],
    ),
    (
        "config.yaml",
        "extensions:\n  developer: {type: builtin, enabled: true, bundled: true}\n",
        &[LeftOut("part of Goose itself")],
    ),
    (
        "config.yaml",
        "extensions:\n  todo: {type: platform, enabled: true}\n  a: {type: stdio, cmd: x, enabled: true}\n",
        &[Entry(&["a:"]), Notice("platform is part of Goose")],
    ),
    (
        "config.yaml",
        "extensions:\n  a: {type: stdio, cmd: x, enabled: false}\n",
        &[LeftOut("disabled in this file")],
    ),
    (
        "config.yaml",
        "GOOSE_MODEL: x\nextensions:\n  a: {type: stdio, cmd: x, args: [], enabled: true, available_tools: []}\n",
        &[Entry(&["- x"])],
    ),
    (
        "config.yaml",
        "extensions:\n  a: {type: stdio, cmd: x, enabled: true, available_tools: [t]}\n",
        &[Notice("available_tools")],
    ),
    (
        "config.yaml",
        "extensions:\n  a: {type: inline_python, code: print, enabled: true}\n",
        &[LeftOut("part of Goose")],
    ),
    (
        "config.yaml",
        "extensions:\n  a: {type: streamable_http, name: a, uri: https://a.example/mcp, headers: {Authorization: 'Bearer $TOKEN'}, env_keys: [TOKEN, OTHER], timeout: 300, enabled: true}\n",
        &[
            Entry(&["Authorization: Bearer ${TOKEN}"]),
            Notice("OTHER is ignored"),
        ],
    ),
    (
        "config.yaml",
        "extensions:\n  a: {type: stdio, cmd: [x], enabled: true}\n",
        &[Entry(&["- x"])],
    ),
];

const CONTINUE: &[Case<'_>] = &[
    (
        "config.yaml",
        "name: n\nversion: 1\nmcpServers:\n  - name: A B\n    command: npx\n    args: [-y, x]\n    env: {K: '${{ secrets.TOKEN }}'}\n",
        &[Entry(&["a-b:", "K: ${TOKEN}"])],
    ),
    (
        "config.yaml",
        "mcpServers:\n  - {name: a, type: streamable-http, url: 'https://a.example/mcp', requestOptions: {headers: {Authorization: 'Bearer ${{ secrets.TOKEN }}'}}}\n",
        &[Entry(&["type: http", "Authorization: Bearer ${TOKEN}"])],
    ),
    (
        "config.yaml",
        "mcpServers:\n  - {name: a, type: sse, url: 'https://a.example/sse', connectionTimeout: 5000}\n",
        &[Entry(&["type: sse", "start_timeout: 5s"])],
    ),
    (
        "config.yaml",
        "mcpServers:\n  - uses: org/block\n",
        &[LeftOut("a block of Continue's hub")],
    ),
    (
        "config.yaml",
        "mcpServers:\n  - {name: a, command: x, cwd: /w}\n",
        &[Entry(&["cwd: /w"])],
    ),
    (
        "config.yaml",
        "mcpServers:\n  - {name: a, url: 'https://a.example/', apiKey: k}\n",
        &[Entry(&["Authorization: ${MCP_A_AUTHORIZATION}"])],
    ),
    (
        "config.yaml",
        "mcpServers:\n  - {name: a, url: 'https://a.example/', requestOptions: {verifySsl: false}}\n",
        &[Notice("verifySsl: ignored, although")],
    ),
    (
        "config.yaml",
        "mcpServers:\n  - {command: x}\n",
        &[Entry(&["server-1:"])],
    ),
    (
        "config.yaml",
        "mcpServers:\n  - x\n",
        &[Refused("expected a mapping")],
    ),
    (
        "config.json",
        r#"{"experimental": {"modelContextProtocolServers": [{"transport": {"type": "stdio", "command": "x", "args": ["y"]}}]}}"#,
        &[Entry(&["- x", "- y"])],
    ),
];

#[test]
fn vs_code_and_copilot_files_are_read() {
    check(VS_CODE, &ImportOptions::default());
}

#[test]
fn zed_opencode_and_crush_files_are_read() {
    check(ZED, &ImportOptions::default());
    check(OPENCODE, &ImportOptions::default());
    check(CRUSH, &ImportOptions::default());
}

#[test]
fn codex_goose_and_continue_files_are_read() {
    check(CODEX, &ImportOptions::default());
    check(GOOSE, &ImportOptions::default());
    check(CONTINUE, &ImportOptions::default());
}
