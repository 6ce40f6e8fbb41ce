//! What is printed tells what to do next, and shows no secret.

use std::fs;

use crate::support::{CANARY, Site};

#[test]
fn call_without_a_tool_names_the_tools_of_the_server() {
    let site = Site::with_servers();
    for gateway in [false, true] {
        let _up = gateway.then(|| site.up());
        for args in [&["call", "math"][..], &["call", "math", "-"]] {
            let said = site.run(args);
            assert_eq!(said.code, 2, "{said:?}");
            for text in [
                "math has: add, fail, hash",
                "mcp-orchestrator call math add",
            ] {
                assert!(said.err.contains(text), "{text}: {said:?}");
            }
        }
        let said = site.run(&["call", "broken"]);
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.err.contains("exit status 3"), "{said:?}");
    }
}

#[test]
fn call_of_an_unknown_tool_names_the_tools_of_the_server() {
    let site = Site::with_servers();
    let said = site.run(&["call", "math", "zzzzzzz"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("add, fail, hash"), "{said:?}");
}

#[test]
fn invalid_names_are_refused_with_the_rule_for_them() {
    let site = Site::with_servers();
    let said = site.run(&["add", "My_Server", "--", "x"]);
    assert_eq!(said.code, 2, "{said:?}");
    let rule = "it may only contain lower-case letters, digits and '-'";
    assert!(said.err.contains(rule), "{said:?}");
}

#[test]
fn preview_of_an_import_shows_no_secret() {
    let site = Site::with_servers();
    let file = site.dir().join("theirs.json");
    let token = format!("ghp_{CANARY}0123456789");
    let foreign = format!(
        r#"{{"mcpServers": {{
            "a": {{"command": "x", "args": ["--token", "{CANARY}", "--api-key={CANARY}", "{token}", "-H", "Authorization: Bearer {token}"],
                   "env": {{"T": "{token}${{HOME}}", "TOKEN": "{CANARY}-${{HOME}}"}}}},
            "b": {{"url": "https://h.example/mcp?api_key={CANARY}&x=1", "headers": {{"Authorization": "Bearer {token}${{HOME}}"}}}}
        }}}}"#
    );
    let registry = format!(
        r#"{{"name": "a/c", "remotes": [{{"type": "streamable-http", "url": "https://h.example/{token}/mcp",
            "headers": [{{"name": "X-Api-Key", "value": "{CANARY}"}}]}}]}}"#
    );
    for (text, shown) in [
        (foreign, "https://h.example/mcp?api_key=[hidden]&x=1"),
        (registry, "https://h.example/[hidden]/mcp"),
    ] {
        fs::write(&file, text).unwrap();
        let named = file.to_str().unwrap();
        for more in [&[][..], &["--keep-values"]] {
            let args = [&["import", named, "--yes", "--replace"][..], more].concat();
            let said = site.run(&args);
            said.ok();
            assert!(said.err.contains(shown), "{said:?}");
            assert!(
                !said.err.contains(CANARY) && !said.out.contains(CANARY),
                "{said:?}"
            );
        }
    }
}

#[test]
fn import_leaves_out_what_cannot_run_and_writes_the_rest() {
    let site = Site::with_servers();
    let file = site.dir().join("theirs.json");
    let text = r#"{"mcpServers": {"good": {"command": "sh"}, "empty": {}, "bare": {"url": "h.example/mcp"},
        "gone": {"command": "sh", "cwd": "/none/here"}, "lost": {"command": "sh", "envFile": "/none/.env"}}}"#;
    fs::write(&file, text).unwrap();
    let named = file.to_str().unwrap();
    let said = site.run(&["import", named, "--yes"]);
    said.ok();
    for text in [
        "mcpServers.empty: left out: a server needs a `command`",
        "mcpServers.bare: left out: url: not a valid URL",
        "servers.gone.cwd: folder not found; this server is left out",
        "servers.lost.env_file: ",
    ] {
        assert!(said.err.contains(text), "{text}: {said:?}");
    }
    let written = site.read();
    assert!(written.contains("good:"), "{written}");
    for name in ["empty:", "bare:", "gone:", "lost:"] {
        assert!(!written.contains(name), "{name}: {written}");
    }
    site.run(&["check"]).ok();
    // Nothing is written if nothing remains.
    fs::write(
        &file,
        r#"{"mcpServers": {"gone": {"command": "sh", "cwd": "/none/here"}}}"#,
    )
    .unwrap();
    let said = site.run(&["import", named, "--yes"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("folder not found"), "{said:?}");
    assert_eq!(site.read(), written);
}

#[test]
fn import_of_a_url_with_an_unset_variable_is_written() {
    let site = Site::with_servers();
    let file = site.dir().join("theirs.json");
    fs::write(
        &file,
        r#"{"mcpServers": {"a": {"url": "${SOME_BASE_URL}/mcp"}}}"#,
    )
    .unwrap();
    let said = site.run(&["import", file.to_str().unwrap(), "--yes"]);
    said.ok();
    assert!(
        said.err.contains("needs the variable SOME_BASE_URL"),
        "{said:?}"
    );
}

#[test]
fn install_of_a_server_without_credentials_says_so() {
    let site = Site::with_servers();
    let _up = site.up();
    for command in ["install", "rotate"] {
        let said = site.run(&[command, "math"]);
        assert_eq!(said.code, 1, "{said:?}");
        assert!(
            said.err.contains("server math needs no credential"),
            "{said:?}"
        );
    }
    let said = site.run(&["install", "mth"]);
    assert!(said.err.contains("no server named mth"), "{said:?}");
}
