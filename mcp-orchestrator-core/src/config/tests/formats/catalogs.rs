//! Docker's catalog, ToolHive's registry, and Kubernetes resources.

use super::{Case, Entry, Notice, Refused, check};
use crate::config::ImportOptions;

const DOCKER: &[Case<'_>] = &[
    (
        "catalog.yaml",
        "version: 3\nregistry:\n  github:\n    type: server\n    image: mcp/github@sha256:ab\n    secrets: [{name: github.token, env: TOKEN, example: x}]\n",
        &[Entry(&[
            "github:",
            "image: mcp/github@sha256:ab",
            "name: github-token",
            "env: TOKEN",
        ])],
    ),
    (
        "catalog.yaml",
        "registry:\n  a: {image: mcp/a, env: [{name: MODE, value: x}, {name: URL, value: '{{a.url}}'}]}\n",
        &[Entry(&["MODE: x", "env: URL"])],
    ),
    (
        "catalog.yaml",
        "registry:\n  a: {image: mcp/a, command: ['--dir={{a.dir|or:[]}}', '${TOKEN}']}\n",
        &[Entry(&["- --dir=${MCP_A_DIR}", "- $${TOKEN}"])],
    ),
    (
        "catalog.yaml",
        "registry:\n  a: {image: mcp/a, volumes: ['/:/x'], user: root}\n",
        &[
            Notice("`volumes` is left out"),
            Notice("`user` is left out"),
        ],
    ),
    (
        "catalog.yaml",
        "registry:\n  a: {image: mcp/a, disableNetwork: true}\n",
        &[Entry(&["egress: none"])],
    ),
    (
        "catalog.yaml",
        "registry:\n  a: {image: mcp/a, allowHosts: ['x:443']}\n",
        &[Notice("`allowHosts` is left out")],
    ),
    (
        "catalog.yaml",
        "registry:\n  a: {type: remote, remote: {transport_type: streamable-http, url: 'https://a.example/mcp', headers: {Authorization: 'Bearer ${T}'}}, secrets: [{name: a.t, env: T}]}\n",
        &[Entry(&["url: https://a.example/mcp", "prefix: 'Bearer "])],
    ),
    (
        "catalog.yaml",
        "registry:\n  a: {type: remote, remote: {transport_type: sse, url: 'https://a.example/sse'}, oauth: {providers: [{provider: a}]}}\n",
        &[Entry(&["type: sse", "oauth: true"])],
    ),
    (
        "catalog.yaml",
        "registry:\n  a: {image: '--privileged'}\n",
        &[Refused("not a valid image name")],
    ),
    (
        "catalog.yaml",
        "registry:\n  a: {image: '-v/:/x'}\n  b: {image: mcp/b}\n",
        &[Entry(&["b:"]), Notice("\"a\" is left out")],
    ),
    (
        "catalog.yaml",
        "registry:\n  a: {title: A}\n",
        &[Refused("neither an image nor a remote address")],
    ),
    (
        "server.yaml",
        "name: a\nimage: mcp/a\ntype: server\nrun: {command: [x], env: {M: '1'}}\nconfig: {secrets: [{name: a.k, env: K}]}\n",
        &[Entry(&["- x", "M: '1'", "env: K"])],
    ),
];

const TOOLHIVE: &[Case<'_>] = &[
    (
        "registry.json",
        r#"{"version": "1", "last_updated": "x", "servers": {"a": {"image": "ghcr.io/x/a:1", "transport": "stdio", "args": ["s"], "env_vars": [{"name": "K", "description": "Key", "required": true, "secret": true}]}}}"#,
        &[Entry(&[
            "image: ghcr.io/x/a:1",
            "description: Key",
            "env: K",
        ])],
    ),
    (
        "registry.json",
        r#"{"last_updated": "x", "servers": {"a": {"image": "x/a", "transport": "streamable-http", "target_port": 8080}}}"#,
        &[Entry(&["type: http", "port: 8080"])],
    ),
    (
        "registry.json",
        r#"{"last_updated": "x", "servers": {"a": {"image": "x/a", "transport": "sse"}}}"#,
        &[Refused("unsupported transport sse")],
    ),
    (
        "registry.json",
        r#"{"last_updated": "x", "servers": {"a": {"image": "x/a", "transport": "stdio", "permissions": {"network": {}}}}}"#,
        &[Notice("`permissions` are left out")],
    ),
    (
        "registry.json",
        r#"{"last_updated": "x", "servers": {"a": {"image": "x/a", "transport": "stdio", "env_vars": [{"name": "R", "default": "eu", "required": false}]}}}"#,
        &[Entry(&["required: false", "plain: true", "default: eu"])],
    ),
    (
        "registry.json",
        r#"{"remote_servers": {"a": {"url": "https://a.example/mcp", "transport": "streamable-http", "headers": [{"name": "X", "secret": true, "required": true}]}}}"#,
        &[Entry(&["header: X"])],
    ),
    (
        "registry.json",
        r#"{"remote_servers": {"a": {"url": "https://a.example/mcp", "transport": "sse", "oauth_config": {"issuer": "https://i.example", "scopes": ["r"]}}}}"#,
        &[
            Entry(&["type: sse", "oauth:"]),
            Entry(&["issuer: https://i.example"]),
        ],
    ),
    (
        "registry.json",
        r#"{"remote_servers": {"a": {"url": "https://{tenant}.example/mcp", "transport": "sse"}}}"#,
        &[Refused("its URL has placeholders")],
    ),
    (
        "registry.json",
        r#"{"last_updated": "x", "servers": {"a": {"image": "docker://x", "transport": "stdio"}}}"#,
        &[Refused("not a valid image name")],
    ),
    (
        "registry.json",
        r#"{"version": "1", "data": {"servers": [{"name": "io.x/a", "packages": [{"registryType": "oci", "identifier": "ghcr.io/x/a:1", "transport": {"type": "stdio"}}]}]}}"#,
        &[Entry(&["image: ghcr.io/x/a:1"])],
    ),
];

const RESOURCES: &[Case<'_>] = &[
    (
        "r.yaml",
        "apiVersion: kagent.dev/v1alpha1\nkind: MCPServer\nmetadata: {name: a}\nspec:\n  transportType: stdio\n  deployment: {image: node:24, cmd: npx, args: [-y, x], env: {K: '${TOKEN}'}, secretRefs: [{name: s}]}\n",
        &[Entry(&[
            "- npx",
            "image: node:24",
            "K: $${TOKEN}",
            "secret: s",
        ])],
    ),
    (
        "r.yaml",
        "apiVersion: kagent.dev/v1alpha1\nkind: MCPServer\nmetadata: {name: a}\nspec: {transportType: http, httpTransport: {targetPort: 3000, path: /x}, deployment: {image: x/a, port: 3000}}\n",
        &[Entry(&[
            "image: x/a",
            "type: http",
            "port: 3000",
            "path: /x",
        ])],
    ),
    (
        "r.yaml",
        "apiVersion: kagent.dev/v1alpha2\nkind: RemoteMCPServer\nmetadata: {name: a}\nspec: {url: 'https://a.example/mcp', protocol: SSE, headersFrom: [{name: Authorization, valueFrom: {type: Secret, name: s, key: k}}]}\n",
        &[Entry(&["type: sse", "from_secret:", "name: s", "key: k"])],
    ),
    (
        "r.yaml",
        "apiVersion: toolhive.stacklok.dev/v1alpha1\nkind: MCPServer\nmetadata: {name: a}\nspec: {image: x/a, transport: stdio, env: [{name: M, value: '1'}], secrets: [{name: s, key: k, targetEnvName: T}], permissionProfile: {type: builtin, name: network}}\n",
        &[
            Entry(&["M: '1'", "env: T", "from_secret:"]),
            Notice("permissionProfile"),
        ],
    ),
    (
        "r.yaml",
        "apiVersion: toolhive.stacklok.dev/v1beta1\nkind: MCPServer\nmetadata: {name: a}\nspec: {image: x/a, transport: streamable-http, mcpPort: 8080, oidcConfig: {type: kubernetes}}\n",
        &[Entry(&["port: 8080"]), Notice("oidcConfig")],
    ),
    (
        "r.yaml",
        "apiVersion: toolhive.stacklok.dev/v1alpha1\nkind: MCPRemoteProxy\nmetadata: {name: a}\nspec: {remoteURL: 'https://a.example/mcp', oidcConfig: {}}\n",
        &[Entry(&["url: https://a.example/mcp"]), Notice("oidcConfig")],
    ),
    (
        "r.yaml",
        "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: kagent.dev/v1alpha1, kind: MCPServer, metadata: {name: a}, spec: {deployment: {cmd: uvx, args: [x]}}}\n",
        &[Entry(&["- uvx"])],
    ),
    (
        "r.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n---\napiVersion: kagent.dev/v1alpha1\nkind: MCPServer\nmetadata: {name: a}\nspec: {deployment: {cmd: uvx, args: [x]}}\n",
        &[Entry(&["a:"]), Notice("unknown resource: a Secret of v1")],
    ),
    (
        "r.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n",
        &[Refused("unknown resource: a Deployment of apps")],
    ),
    (
        "r.yaml",
        "apiVersion: kagent.dev/v1alpha1\nkind: MCPServer\nmetadata: {name: a}\nspec: {}\n",
        &[Refused("neither an `image` nor a `cmd`")],
    ),
];

fn options() -> ImportOptions {
    ImportOptions {
        containers: true,
        ..ImportOptions::default()
    }
}

#[test]
fn docker_catalog_is_read() {
    check(DOCKER, &options());
}

#[test]
fn toolhive_registry_is_read() {
    check(TOOLHIVE, &options());
}

#[test]
fn kubernetes_resources_are_read() {
    check(RESOURCES, &options());
}

#[test]
fn without_container_support_images_run_through_plain_docker() {
    let cases: &[Case<'_>] = &[(
        "catalog.yaml",
        "registry:\n  a: {image: mcp/a, command: [s], secrets: [{name: k, env: K}]}\n",
        &[Entry(&[
            "- docker", "- run", "- -i", "- --rm", "- -e", "- K", "- mcp/a", "- s",
        ])],
    )];
    check(cases, &ImportOptions::default());
}
