//! Less common files of each format: later versions, nested places, and keys that change who is authenticated.

use super::Expected::{Entry, LeftOut, Notice, Refused};
use super::{Case, check, import, written};
use crate::config::ImportOptions;

const GOOSE: &[Case<'_>] = &[
    (
        "recipe.yaml",
        "title: T\nextensions:\n  - {type: stdio, name: fetch, cmd: uvx, args: [mcp-server-fetch], timeout: 300}\n  - {type: builtin, name: developer}\n",
        &[
            Entry(&["fetch:", "uvx", "mcp-server-fetch", "timeout: 5m"]),
            Notice("builtin is part of Goose"),
        ],
    ),
    (
        "recipe.yaml",
        "extensions:\n  - {type: streamable_http, uri: \"https://a.example/mcp\"}\n",
        &[Entry(&["server-1:", "url: https://a.example/mcp"])],
    ),
    (
        "config.yaml",
        "extensions:\n  fetch: {type: stdio, cmd: uvx, args: [x]}\n  next: {type: new_kind, name: n}\n",
        &[
            Entry(&["fetch:", "uvx"]),
            Notice("extensions.next: skipped: its type \"new_kind\" is not known"),
        ],
    ),
    (
        "config.yaml",
        "extensions:\n  next: {type: new_kind, name: n}\n",
        &[Refused("no servers found")],
    ),
];

#[test]
fn goose_recipes_and_unknown_types_are_read() {
    check(GOOSE, &ImportOptions::default());
}

const SWITCHES: &[Case<'_>] = &[
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"command": "x", "state": "disabled"}}}"#,
        &[LeftOut("the server is disabled")],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"command": "x", "status": "Inactive"}}}"#,
        &[LeftOut("the server is disabled")],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"command": "x", "state": "enabled", "status": "connected"}}}"#,
        &[Entry(&["a:", "x"])],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"url": "https://a.example/", "oauthScopes": ["x", "y"]}}}"#,
        &[Entry(&[
            "url: https://a.example/",
            "oauth:",
            "scopes:",
            "x",
            "y",
        ])],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"url": "https://a.example/", "headers": {"authorization": "Bearer ${TOKEN}"}, "oauth": {"scopes": ["x"]}}}}"#,
        &[
            Entry(&["authorization: Bearer ${TOKEN}"]),
            Notice("gets its own `Authorization` header"),
        ],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"url": "https://a.example/", "headers": {"Authorization": "Bearer ${TOKEN}"}, "oauth": false}}}"#,
        &[Entry(&["Authorization: Bearer ${TOKEN}", "oauth: false"])],
    ),
    (
        "config.toml",
        "[mcp_servers.a]\nurl = \"https://a.example/\"\noauth_resource = \"api://x\"\nscopes = [\"s\"]\n",
        &[Entry(&["oauth:", "scopes:", "s", "resource: api://x"])],
    ),
    (
        "config.toml",
        "[mcp_servers.a]\nurl = \"https://a.example/\"\nbearer_token_env_var = \"TOKEN\"\nscopes = [\"s\"]\n",
        &[
            Entry(&["from_env: TOKEN"]),
            Notice("gets its own `Authorization` header"),
        ],
    ),
    (
        "config.toml",
        "[mcp_servers.a]\ncommand = \"x\"\nargs = [\"${NAME}\"]\n",
        &[Entry(&["$${NAME}"])],
    ),
    (
        "config.yaml",
        "mcp_servers:\n  a: {url: \"https://a.example/\", headers: {Authorization: \"Bearer ${TOKEN}\"}}\n",
        &[Entry(&["Authorization: Bearer ${TOKEN}"])],
    ),
    (
        "librechat.yaml",
        "mcpServers:\n  a: {url: \"https://a.example/\", timeout: 60000, serverInstructions: true}\n",
        &[Entry(&["timeout: 1m"])],
    ),
];

#[test]
fn keys_that_change_authentication_or_whether_a_server_runs_are_honoured() {
    check(SWITCHES, &ImportOptions::default());
}

const PLACES: &[Case<'_>] = &[
    (
        ".claude.json",
        r#"{"mcpServers": {"a": {"command": "x"}}, "projects": {"/p": {"mcpServers": {"b": {"command": "y"}}}, "/q": {"mcpServers": {}}}}"#,
        &[
            Entry(&["a:"]),
            Notice("projects.\"/p\".mcpServers: these servers are not read"),
        ],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"a": {"command": "x"}}, "powers": {"mcpServers": {"b": {"command": "y"}}}}"#,
        &[Notice("powers.mcpServers: these servers are not read")],
    ),
    (
        "settings.json",
        r#"{"augment.advanced": {"mcpServers": [{"name": "a", "command": "x", "args": ["y"]}]}}"#,
        &[Entry(&["a:", "x", "y"])],
    ),
    (
        "plugin.json",
        r#"{"name": "p", "mcpServers": "./.mcp.json"}"#,
        &[Refused("use that file instead")],
    ),
    (
        "manifest.json",
        r#"{"manifest_version": "0.3", "name": "x", "server": {"type": "node", "mcp_config": {"command": "node"}}}"#,
        &[Refused("manifest of a bundle (mcpb)")],
    ),
    (
        "mcp.json",
        r#"{"mcpServers": {"mcpServers": {"a": {"command": "x"}}}}"#,
        &[LeftOut("needs a `command`")],
    ),
];

#[test]
fn servers_in_other_places_are_named() {
    check(PLACES, &ImportOptions::default());
}

const PUBLISHED: &[Case<'_>] = &[
    (
        "server.json",
        r#"{"name": "a/b", "packages": [{"registryType": "oci", "identifier": "x/y:1", "runtimeArguments": [
            {"type": "named", "name": "-e", "value": "TOKEN={t}", "isRequired": true, "variables": {"t": {"isRequired": true, "isSecret": true}}},
            {"type": "named", "name": "--env", "value": "MODE=fast"}, {"type": "named", "name": "-e", "value": "HOST"}]}]}"#,
        &[Entry(&[
            "-e",
            "MODE",
            "-e",
            "TOKEN",
            "-e",
            "HOST",
            "x/y:1",
            "env:",
            "MODE: fast",
            "credentials:",
            "env: TOKEN",
            "env: HOST",
        ])],
    ),
    (
        "server.json",
        r#"{"name": "a/b", "packages": [{"registryType": "oci", "identifier": "x/y:1", "environmentVariables": [{"name": "K", "isSecret": true}],
            "runtimeArguments": [{"type": "named", "name": "-e", "value": "K={k}"}, {"type": "positional", "value": "run"}, {"type": "named", "name": "--mount", "value": "type=bind,src={s}"}]}]}"#,
        &[
            Entry(&["-e", "K", "x/y:1", "env: K"]),
            Notice("its arguments for docker are left out (--mount type)"),
        ],
    ),
    (
        "server.json",
        r#"{"name": "a/b", "remotes": [{"type": "sse", "url": "https://a.example/", "headers": [{"name": "X-R", "value": "{region}"}]}]}"#,
        &[Entry(&["name: x-r", "header: X-R"])],
    ),
    (
        "catalog.yaml",
        "registry:\n  a: {image: mcp/a, disableNetwork: true, command: [-v]}\n",
        &[Entry(&[
            "docker",
            "--rm",
            "--network",
            "none",
            "mcp/a",
            "-v",
        ])],
    ),
    (
        "registry.json",
        r#"{"last_updated": "x", "remote_servers": {"r": {"url": "https://{tenant}.example/mcp", "url_variables": {"tenant": {"required": true}},
            "oauth_config": {"client_id": "c", "authorize_url": "https://i.example/a", "token_url": "https://i.example/t", "resource": "https://r.example", "oauth_params": {"audience": "x"}}}}}"#,
        &[Entry(&[
            "url: https://${MCP_R_TENANT}.example/mcp",
            "client_id: c",
            "authorization_endpoint: https://i.example/a",
            "token_endpoint: https://i.example/t",
            "resource: https://r.example",
            "audience: x",
        ])],
    ),
    (
        "registry.json",
        r#"{"last_updated": "x", "servers": {}, "groups": [{"name": "g", "servers": {"z": {"image": "a/z", "transport": "stdio"}}, "remote_servers": {"w": {"url": "https://w.example/"}}}]}"#,
        &[Entry(&["z:", "a/z", "w:", "url: https://w.example/"])],
    ),
    (
        "entry.yaml",
        "apiVersion: toolhive.stacklok.dev/v1beta1\nkind: MCPServerEntry\nmetadata: {name: e}\nspec: {remoteUrl: \"https://a.example/mcp\", transport: streamable-http}\n",
        &[Entry(&["e:", "url: https://a.example/mcp"])],
    ),
];

#[test]
fn published_servers_keep_their_settings() {
    check(PUBLISHED, &ImportOptions::default());
}

#[test]
fn variables_of_arguments_that_are_left_out_are_not_asked_for() {
    let imported = import("server.json", PUBLISHED[1].1, &ImportOptions::default()).unwrap();
    assert!(imported.variables.is_empty(), "{:?}", imported.variables);
}

#[test]
fn relative_paths_of_a_file_named_without_a_folder_are_resolved() {
    let text = r#"{"mcpServers": {"a": {"command": "./run", "cwd": "sub"}}}"#;
    let imported = import("mcp.json", text, &ImportOptions::default()).unwrap();
    let here = std::env::current_dir().unwrap();
    let text = written(&imported);
    for path in [here.join("run"), here.join("sub")] {
        assert!(text.contains(&*path.to_string_lossy()), "{text}");
    }
}
