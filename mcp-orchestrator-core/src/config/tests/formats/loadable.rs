//! What is imported loads: an entry that the load would reject is left out, with a notice that names it.

use std::path::Path;

use super::{import, written};
use crate::config::{ImportOptions, Imported};

/// Name, file and text of each format, with `BAD` for a second server.
const FORMATS: &[(&str, &str, &str)] = &[
    (
        "mcpServers",
        "mcp.json",
        r#"{"mcpServers": {"good": {"command": "sh"}, "bad": BAD}}"#,
    ),
    (
        "vscode",
        ".vscode/mcp.json",
        r#"{"servers": {"good": {"type": "stdio", "command": "sh"}, "bad": BAD}, "inputs": []}"#,
    ),
    (
        "flat",
        ".mcp.json",
        r#"{"good": {"command": "sh"}, "bad": BAD}"#,
    ),
    (
        "zed",
        "settings.json",
        r#"{"context_servers": {"good": {"command": "sh"}, "bad": BAD}}"#,
    ),
    (
        "opencode",
        "opencode.json",
        r#"{"mcp": {"good": {"type": "local", "command": ["sh"]}, "bad": BAD}}"#,
    ),
    (
        "crush",
        "crush.json",
        r#"{"mcp": {"good": {"type": "stdio", "command": "sh"}, "bad": BAD}}"#,
    ),
    (
        "codex",
        "config.json",
        r#"{"mcp_servers": {"good": {"command": "sh"}, "bad": BAD}}"#,
    ),
    (
        "continue",
        "config.yaml",
        r#"{"mcpServers": [{"name": "good", "command": "sh"}, BAD]}"#,
    ),
    (
        "goose",
        "config.yaml",
        r#"{"extensions": {"good": {"type": "stdio", "cmd": "sh"}, "bad": BAD}}"#,
    ),
    (
        "registry",
        "servers.json",
        r#"{"servers": [{"name": "a/good", "packages": [{"registryType": "npm", "identifier": "x"}]}, BAD]}"#,
    ),
    (
        "toolhive",
        "registry.json",
        r#"{"last_updated": "x", "remote_servers": {"good": {"url": "https://a.example/"}, "bad": BAD}}"#,
    ),
    (
        "docker",
        "catalog.yaml",
        r#"{"registry": {"good": {"image": "mcp/x"}, "bad": BAD}}"#,
    ),
];

/// Imports two servers, of which the second is the given one.
fn beside(format: &str, bad: &str) -> Imported {
    let mut formats = FORMATS.iter();
    let (_, file, text) = formats.find(|(name, ..)| *name == format).unwrap();
    let text = text.replace("BAD", bad);
    let imported = import(file, &text, &ImportOptions::default());
    imported.unwrap_or_else(|problems| panic!("{format}: {problems}\n{text}"))
}

/// A format, a server that the load rejects, and why.
const REJECTED: &[(&str, &str, &str)] = &[
    ("mcpServers", r#"{"args": ["x"]}"#, "needs a `command`"),
    ("mcpServers", r#"{"command": ""}"#, "empty"),
    ("mcpServers", r#"{"command": "  "}"#, "empty"),
    ("mcpServers", r#"{"command": []}"#, "empty"),
    ("mcpServers", r#"{"url": ""}"#, "empty"),
    (
        "mcpServers",
        r#"{"url": "mcp.example.com/mcp"}"#,
        "expected e.g. https://host/path",
    ),
    (
        "mcpServers",
        r#"{"url": "//mcp.example.com/mcp"}"#,
        "start it with https://",
    ),
    (
        "mcpServers",
        r#"{"url": "ws://mcp.example.com/mcp"}"#,
        "must start with https://",
    ),
    (
        "mcpServers",
        r#"{"url": "https:///mcp"}"#,
        "not a valid URL",
    ),
    (
        "mcpServers",
        r#"{"url": "https://user:pw@mcp.example.com/"}"#,
        "user or password",
    ),
    ("mcpServers", r#"{"url": "localhost:8000/mcp"}"#, "URL"),
    ("mcpServers", r#"{"type": "http"}"#, "needs a `command`"),
    ("mcpServers", r#"{"type": "sse", "command": "x"}"#, "stdio"),
    (
        "mcpServers",
        r#"{"type": "stdio", "url": "https://a.example/"}"#,
        "http",
    ),
    (
        "mcpServers",
        r#"{"type": "ws", "url": "https://a.example/"}"#,
        "must be one of",
    ),
    ("mcpServers", r#"{"command": 5}"#, "expected a string"),
    (
        "mcpServers",
        r#""https://a.example/""#,
        "expected a mapping",
    ),
    (
        "mcpServers",
        r#"{"command": "sh", "env": {"A=B": "x"}}"#,
        "env",
    ),
    (
        "mcpServers",
        r#"{"command": "sh", "env": {"": "x"}}"#,
        "env",
    ),
    (
        "mcpServers",
        r#"{"url": "https://a.example/", "headers": {"a b": "x"}}"#,
        "header name",
    ),
    (
        "mcpServers",
        r#"{"url": "https://a.example/", "oauth": {"issuer": "nonsense"}}"#,
        "issuer",
    ),
    (
        "vscode",
        r#"{"type": "http", "url": "a.example/mcp"}"#,
        "expected e.g. https://host/path",
    ),
    ("vscode", r#"{"type": "stdio"}"#, "needs a `command`"),
    ("flat", r#"{"command": " "}"#, "empty"),
    ("zed", r#"{"url": "a.example"}"#, "start it with https://"),
    ("zed", r#"{"command": {"args": []}}"#, "needs a `command`"),
    (
        "opencode",
        r#"{"type": "remote", "url": "a.example"}"#,
        "start it with https://",
    ),
    ("opencode", r#"{"type": "local", "command": []}"#, "empty"),
    ("crush", r#"{"type": "http"}"#, "needs a `command`"),
    ("codex", r#"{"url": "a.example"}"#, "start it with https://"),
    ("codex", r#"{"args": []}"#, "needs a `command`"),
    ("continue", r#"{"name": "bad"}"#, "needs a `command`"),
    (
        "continue",
        r#"{"name": "bad", "url": "a.example"}"#,
        "start it with https://",
    ),
    ("goose", r#"{"type": "stdio"}"#, "needs a `command`"),
    (
        "goose",
        r#"{"type": "sse", "uri": "a.example"}"#,
        "start it with https://",
    ),
    (
        "registry",
        r#"{"name": "a/bad", "remotes": [{"type": "sse", "url": "https:///x"}]}"#,
        "not a valid URL",
    ),
    ("toolhive", r#"{"url": ""}"#, "empty"),
    (
        "toolhive",
        r#"{"url": "a.example"}"#,
        "start it with https://",
    ),
    (
        "docker",
        r#"{"remote": {"url": "a.example"}}"#,
        "start it with https://",
    ),
];

#[test]
fn an_entry_that_the_load_rejects_is_left_out_with_a_notice() {
    for (format, bad, why) in REJECTED {
        let imported = beside(format, bad);
        let names: Vec<&str> = imported.servers.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(names, ["good"], "{format}: {bad}\n{:?}", imported.notices);
        written(&imported);
        let notices: Vec<String> = imported.notices.iter().map(ToString::to_string).collect();
        let said = notices.iter().any(|notice| {
            notice.contains("left out")
                && notice.contains(why)
                && (notice.contains("bad") || notice.contains("mcpServers[1]"))
        });
        assert!(said, "{format}: {bad}: {why:?} is not said: {notices:#?}");
    }
}

#[test]
fn one_faulty_server_alone_leaves_nothing_to_write() {
    for text in [
        r#"{"mcpServers": {"a": {}}}"#,
        r#"{"mcpServers": {"a": {"command": null, "url": null}}}"#,
        r#"{"mcpServers": {"a": {"url": "a.example"}}}"#,
    ] {
        let imported = import("mcp.json", text, &ImportOptions::default()).unwrap();
        assert!(imported.servers.is_empty(), "{text}");
        assert!(
            imported.notices[0].message.starts_with("left out: "),
            "{text}"
        );
        assert!(imported.variables.is_empty(), "{text}");
    }
}

#[test]
fn a_server_that_is_chosen_is_imported_beside_a_faulty_one() {
    let text =
        r#"{"mcpServers": {"a": {"command": "sh"}, "b": {"type": "ws", "env": {"TOKEN": "x"}}}}"#;
    let options = ImportOptions {
        only: vec!["a".to_owned()],
        ..ImportOptions::default()
    };
    let imported = import("mcp.json", text, &options).unwrap();
    assert_eq!(imported.servers.len(), 1);
}

#[test]
fn the_variables_of_a_server_that_is_left_out_are_not_asked_for() {
    let imported = beside("mcpServers", r#"{"args": [], "env": {"TOKEN": "canary"}}"#);
    assert!(imported.variables.is_empty(), "{:?}", imported.variables);
}

#[test]
fn a_variable_in_a_url_is_no_reason_to_leave_a_server_out() {
    for url in [
        "${BASE}/mcp",
        "https://${HOST}/mcp",
        "http://h:${PORT_}/mcp",
        "${A:-https://x.example}/mcp",
        "${env:URL}",
    ] {
        let text = format!(r#"{{"mcpServers": {{"a": {{"url": "{url}"}}}}}}"#);
        let imported = import("mcp.json", &text, &ImportOptions::default()).unwrap();
        assert_eq!(imported.servers.len(), 1, "{url}: {:?}", imported.notices);
    }
}

#[test]
fn folders_and_files_of_another_machine_are_no_reason_to_leave_a_server_out() {
    let text = r#"{"mcpServers": {"a": {"command": "/opt/none", "cwd": "/none/here", "envFile": "/none/.env"}}}"#;
    let imported = import("mcp.json", text, &ImportOptions::default()).unwrap();
    assert_eq!(imported.servers.len(), 1);
}

#[test]
fn a_file_of_servers_that_all_have_problems_is_rejected_with_all_of_them() {
    let text = r#"{"mcpServers": {"a": {"command": 5}, "b": {"type": "ws"}}}"#;
    let file = Path::new("mcp.json");
    let problems = crate::config::import_text(file, text, &ImportOptions::default()).unwrap_err();
    assert_eq!(problems.problems.len(), 2, "{problems}");
}
