//! `server.json` in all versions of its schema.

use super::{Case, Entry, Notice, Refused, check, import, written};
use crate::config::ImportOptions;
use crate::id::ServerId;

const CASES: &[Case<'_>] = &[
    // June and July 2025
    (
        "server.json",
        r#"{"name": "io.x/tool", "version_detail": {"version": "1.0.2"}, "packages": [{"registry_name": "npm", "name": "@x/tool", "version": "1.0.2", "package_arguments": [{"type": "positional", "value_hint": "dir", "is_required": true}], "environment_variables": [{"name": "K", "is_required": true, "is_secret": true}]}]}"#,
        &[Entry(&[
            "- npx",
            "- '@x/tool@1.0.2'",
            "- ${MCP_TOOL_DIR}",
            "env: K",
        ])],
    ),
    (
        "server.json",
        r#"{"name": "io.x/tool", "packages": [{"registry_type": "pypi", "registry_base_url": "https://pypi.org", "identifier": "x-tool", "version": "0.5.0", "runtime_hint": "uvx"}]}"#,
        &[Entry(&["- uvx", "- x-tool@0.5.0"])],
    ),
    (
        "server.json",
        r#"{"name": "io.x/tool", "remotes": [{"transport_type": "streamable", "url": "https://x.example/mcp"}]}"#,
        &[Entry(&["url: https://x.example/mcp"])],
    ),
    (
        "server.json",
        r#"{"name": "io.x/tool", "packages": [{"registry_name": "docker", "name": "x/tool", "version": "1"}]}"#,
        &[Entry(&["- docker", "- x/tool:1"])],
    ),
    // later ones
    (
        "server.json",
        r#"{"name": "io.x/tool", "packages": [{"registryType": "nuget", "identifier": "X.Tool", "version": "1.0.0", "packageArguments": [{"type": "positional", "value": "mcp"}], "transport": {"type": "stdio"}}]}"#,
        &[Entry(&[
            "- dnx",
            "- X.Tool@1.0.0",
            "- --yes",
            "- --",
            "- mcp",
        ])],
    ),
    (
        "server.json",
        r#"{"name": "io.x/tool", "packages": [{"registryType": "mcpb", "identifier": "https://x.example/a.mcpb", "fileSha256": "ab"}], "remotes": [{"type": "sse", "url": "https://x.example/sse"}]}"#,
        &[Entry(&["url: https://x.example/sse", "type: sse"])],
    ),
    (
        "server.json",
        r#"{"name": "io.x/tool", "packages": [{"registryType": "cargo", "identifier": "x"}]}"#,
        &[Refused("unknown package type cargo")],
    ),
    (
        "server.json",
        r#"{"name": "io.x/tool", "packages": [{"registryType": "npm", "identifier": "tool", "version": "1.0.0", "transport": {"type": "streamable-http", "url": "http://127.0.0.1:3999/api/mcp"}}]}"#,
        &[Entry(&["type: http", "port: 3999", "path: /api/mcp"])],
    ),
    (
        "server.json",
        r#"{"name": "io.x/tool", "packages": [{"registryType": "npm", "identifier": "tool", "packageArguments": [{"type": "named", "name": "--port", "value": "{port}"}], "transport": {"type": "streamable-http", "url": "http://localhost:{port}/x"}}]}"#,
        &[Entry(&["- --port", "- ${PORT}", "path: /x"])],
    ),
    (
        "server.json",
        r#"{"name": "io.x/tool", "packages": [{"registryType": "npm", "registryBaseUrl": "https://npm.corp.example", "identifier": "tool"}]}"#,
        &[
            Entry(&["- --registry=https://npm.corp.example", "- tool"]),
            Notice("uses another source of packages"),
        ],
    ),
    (
        "server.json",
        r#"{"name": "io.x/tool", "remotes": [{"type": "streamable-http", "url": "https://x.example/mcp", "headers": [{"name": "X-Place", "value": "{region}-{zone}", "variables": {"region": {"default": "eu"}, "zone": {"default": "1"}}}]}]}"#,
        &[Entry(&[
            "X-Place: ${MCP_TOOL_REGION:-eu}-${MCP_TOOL_ZONE:-1}",
        ])],
    ),
    (
        "server.json",
        r#"{"name": "io.x/tool", "remotes": [{"type": "streamable-http", "url": "https://x.example/mcp", "headers": [{"name": "X-Place", "value": "{a}-{b}"}, {"name": "Accept", "value": "x"}]}]}"#,
        &[
            Notice("X-Place is optional and left out"),
            Notice("the header Accept is left out"),
        ],
    ),
    (
        "server.json",
        r#"{"name": "io.x/tool", "packages": [{"registryType": "npm", "identifier": "x", "environmentVariables": [{"name": "DSN", "value": "db://{user}:{password}@h", "isRequired": true}]}]}"#,
        &[
            Entry(&["DSN: db://${MCP_TOOL_USER}:${MCP_TOOL_PASSWORD}@h"]),
            Notice("it is the same for all callers"),
        ],
    ),
    (
        "server.json",
        r#"{"name": "io.x/tool", "status": "deprecated", "remotes": [{"type": "streamable-http", "url": "https://x.example/mcp"}]}"#,
        &[Notice("deprecated")],
    ),
    (
        "server.json",
        r#"{"name": "io.x/tool", "packages": [], "remotes": []}"#,
        &[Refused("neither packages nor remotes")],
    ),
    (
        "list.json",
        r#"{"servers": [{"server": {"name": "a/x", "remotes": [{"type": "sse", "url": "https://x.example/"}]}}, {"server": {"name": "a/y", "packages": [{"registryType": "mcpb", "identifier": "https://y"}]}}], "metadata": {}}"#,
        &[Entry(&["x:"]), Notice("\"a/y\" is left out")],
    ),
];

const BOTH: &str = r#"{"name": "com.example/tool",
    "packages": [{"registryType": "oci", "registryBaseUrl": "https://ghcr.io", "identifier": "example/tool", "version": "1.0", "transport": {"type": "stdio"}}],
    "remotes": [{"type": "streamable-http", "url": "https://tool.example/mcp"}]}"#;

#[test]
fn every_schema_version_is_read() {
    check(CASES, &ImportOptions::default());
}

#[test]
fn runnable_option_is_chosen_among_several() {
    let here = import("server.json", BOTH, &ImportOptions::default()).unwrap();
    assert!(written(&here).contains("url: https://tool.example/mcp"));
    assert!(
        here.notices[0]
            .message
            .contains("it is also available as oci example/tool"),
        "{:?}",
        here.notices
    );
    let options = ImportOptions {
        containers: true,
        ..ImportOptions::default()
    };
    let pods = import("server.json", BOTH, &options).unwrap();
    assert!(written(&pods).contains("image: ghcr.io/example/tool:1.0"));
}

#[test]
fn names_with_the_same_suffix_stay_distinct_and_can_be_overridden() {
    let text = |owner: &str| {
        format!(
            r#"{{"name": "{owner}/mcp", "remotes": [{{"type": "sse", "url": "https://x.example/"}}]}}"#
        )
    };
    let name = |owner: &str, options: &ImportOptions| {
        let imported = import("server.json", &text(owner), options).unwrap();
        imported.servers[0].0.to_string()
    };
    assert_eq!(name("com.one", &ImportOptions::default()), "one-mcp");
    assert_eq!(name("com.two", &ImportOptions::default()), "two-mcp");
    let options = ImportOptions {
        name: Some(ServerId::new("mine").unwrap()),
        ..ImportOptions::default()
    };
    assert_eq!(name("com.two", &options), "mine");
    let two = r#"{"mcpServers": {"a": {"command": "x"}, "b": {"command": "y"}}}"#;
    let refused = import("mcp.json", two, &options).unwrap_err().to_string();
    assert!(
        refused.contains("a name is given for one server"),
        "{refused}"
    );
    let one = ImportOptions {
        only: vec!["b".to_owned()],
        ..options
    };
    assert_eq!(
        import("mcp.json", two, &one).unwrap().servers[0].0.as_str(),
        "mine"
    );
}
