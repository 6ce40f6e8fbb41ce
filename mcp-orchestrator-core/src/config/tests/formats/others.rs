//! Our own files are never mistaken for foreign ones, and unusual files are read correctly.

use super::{import, load, written};
use crate::config::ImportOptions;

#[test]
fn own_file_is_recognized_under_a_foreign_name() {
    for key in [
        r#""audit": {"log": true}"#,
        r#""network": {"allow_private": ["10.0.0.0/8"]}"#,
        r#""credentials": {"store": "memory"}"#,
        r#""auth_wait": "5s""#,
        r#""inherit_env": ["X"]"#,
        r#""admins": ["ann"]"#,
    ] {
        let text =
            format!(r#"{{"servers": {{"a": {{"command": ["sh"], "no_such_key": 1}}}}, {key}}}"#);
        for name in ["mcp.json", ".mcp.json"] {
            let refused = load(name, &text).unwrap_err().to_string();
            assert!(refused.contains("no_such_key"), "{key}: {refused}");
        }
    }
    for key in [
        r#""oauth": true"#,
        r#""oauth": {"grant": "client_credentials"}"#,
        r#""isolation": "session""#,
        r#""credentials": [{"name": "t", "env": "T"}]"#,
        r#""install": ["user"]"#,
        r#""egress": "none""#,
        r#""idle_timeout": "5m""#,
        r#""env_file": ".env""#,
    ] {
        let text = format!(
            r#"{{"servers": {{"a": {{"url": "https://a.example/", "no_such_key": 1, {key}}}}}}}"#
        );
        let refused = load("mcp.json", &text).unwrap_err().to_string();
        assert!(refused.contains("no_such_key"), "{key}: {refused}");
    }
    // An escape in our own format is not a foreign variable.
    let text = r#"{"servers": {"a": {"command": ["sh", "$${env:HOME}"], "no_such_key": 1}}}"#;
    assert!(load("c.json", text).is_err());
}

#[test]
fn own_keys_next_to_mcp_servers_are_never_ignored() {
    for key in [
        "auth",
        "audit",
        "tls",
        "allowed_hosts",
        "trusted_proxies",
        "network",
        "credentials",
        "servers",
        "gateways",
    ] {
        let text = format!(r#"{{"mcpServers": {{"a": {{"command": "sh"}}}}, "{key}": {{}}}}"#);
        let refused = load("c.json", &text).unwrap_err().to_string();
        assert!(
            refused.contains("has no effect in a file with `mcpServers`"),
            "{key}: {refused}"
        );
    }
}

#[test]
fn server_description_is_not_loaded_as_a_configuration() {
    for text in [
        r#"{"name": "a/b", "remotes": [{"type": "sse", "url": "https://x.example/"}]}"#,
        r#"{"last_updated": "x", "servers": {"a": {"image": "x", "transport": "stdio"}}}"#,
        r#"{"registry": {"a": {"image": "x"}}}"#,
        r#"{"apiVersion": "kagent.dev/v1alpha1", "kind": "MCPServer"}"#,
    ] {
        let refused = load("c.json", text).unwrap_err().to_string();
        assert!(
            refused.contains("add its servers with `mcp-orchestrator import`"),
            "{refused}"
        );
    }
}

#[test]
fn relative_paths_still_resolve_to_the_same_place() {
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("proj");
    std::fs::create_dir_all(project.join("sub")).unwrap();
    std::fs::write(project.join("server.js"), "").unwrap();
    let file = project.join(".mcp.json");
    let file = file.to_str().unwrap();
    let project = project.to_str().unwrap();
    for (entry, text) in [
        (
            r#""command": "sh", "cwd": "./sub""#,
            format!("cwd: {project}/sub"),
        ),
        (
            r#""command": "sh", "cwd": "sub/../sub""#,
            format!("cwd: {project}/sub/../sub"),
        ),
        (r#""command": "./run.sh""#, format!("- {project}/run.sh")),
        (
            r#""command": "sub/run.sh", "args": ["x"]"#,
            format!("- {project}/sub/run.sh"),
        ),
        (
            r#""command": "node", "args": ["server.js"]"#,
            format!("cwd: {project}"),
        ),
        (
            r#""command": "node", "args": ["./other.js"]"#,
            format!("cwd: {project}"),
        ),
        (
            r#""command": "sh", "envFile": ".env""#,
            format!("env_file: {project}/.env"),
        ),
    ] {
        let text_of = format!(r#"{{"mcpServers": {{"a": {{{entry}}}}}}}"#);
        let imported = import(file, &text_of, &ImportOptions::default()).unwrap();
        let all = written(&imported);
        assert!(all.contains(&text), "{text} is not in\n{all}");
    }
    let text = r#"{"mcpServers": {"a": {"command": "node", "args": ["server.js"]}}}"#;
    let loaded = load(file, text).unwrap();
    let crate::server::Launch::Program(program) = &loaded.settings.servers[0].launch else {
        panic!()
    };
    let cwd = program.command.as_ref().unwrap().cwd.as_deref();
    assert_eq!(cwd, Some(std::path::Path::new(project)));
}

#[test]
fn global_inherit_env_applies_to_every_program() {
    let text = "inherit_env: [A, B]\nservers:\n  p: {command: sh, inherit_env: [C]}\n  r: {url: https://a.example/}\n";
    let loaded = load("c.yaml", text).unwrap();
    assert_eq!(loaded.settings.servers[0].inherit_env, ["A", "B", "C"]);
    assert!(loaded.settings.servers[1].inherit_env.is_empty());
    assert!(load("c.yaml", "inherit_env: ['A=B']\nservers: {}\n").is_err());
    let pods = "backend: kubernetes\ninherit_env: [A]\nservers: {p: {command: sh, image: x}}\n";
    if let Ok(loaded) = load("c.yaml", pods) {
        assert!(
            loaded.settings.servers[0].inherit_env.is_empty(),
            "a pod inherits nothing"
        );
    }
}

#[test]
fn files_in_other_encodings_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let text = "TOKEN=canary\nB=2\n";
    let utf16 = |big: bool| -> Vec<u8> {
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        let bytes = units.map(|unit| {
            if big {
                unit.to_be_bytes()
            } else {
                unit.to_le_bytes()
            }
        });
        bytes.flatten().collect()
    };
    for bytes in [
        format!("\u{feff}{text}").into_bytes(),
        utf16(false),
        utf16(true),
        text.replace('\n', "\r\n").into_bytes(),
    ] {
        std::fs::write(folder.path().join(".env"), bytes).unwrap();
        let file = folder.path().join("c.yaml");
        let loaded = load(
            file.to_str().unwrap(),
            "servers: {a: {command: sh, env_file: .env}}",
        )
        .unwrap();
        let env = &loaded.settings.servers[0].env;
        let names: Vec<&String> = env.keys().collect();
        assert_eq!(names, ["B", "TOKEN"]);
        assert_eq!(env["TOKEN"].expose(), "canary");
    }
    std::fs::write(folder.path().join(".env"), b"\xff\xfeA").unwrap();
    let file = folder.path().join("c.yaml");
    let refused = load(
        file.to_str().unwrap(),
        "servers: {a: {command: sh, env_file: .env}}",
    )
    .unwrap_err();
    assert!(
        refused.to_string().contains("neither UTF-8 nor UTF-16"),
        "{refused}"
    );
}
