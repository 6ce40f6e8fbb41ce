//! A changed configuration file in the program: unchanged servers keep running, changed ones are replaced, and an
//! invalid file changes nothing and is reported.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its tasks end with its runtime"
)]

use std::path::{Path, PathBuf};

use mcp_orchestrator_tests::client::Session;
use mcp_orchestrator_tests::program::Program;
use mcp_orchestrator_tests::scripted::program;
use mcp_orchestrator_tests::wait::{is_alive, signal, until, within};
use rustix::process::Signal;
use serde_json::{Value, json};

fn config(servers: &[(&str, &[&str])]) -> String {
    let server = |args: &[&str]| json!({ "command": program("scripted-server"), "args": args });
    let all: serde_json::Map<String, Value> = servers
        .iter()
        .map(|(name, args)| ((*name).to_owned(), server(args)))
        .collect();
    json!({ "mcpServers": all }).to_string()
}

fn said(errors: &Path, text: &str) -> usize {
    let all = std::fs::read_to_string(errors).unwrap_or_default();
    all.matches(text).count()
}

async fn pid(session: &Session, server: &str) -> u32 {
    let stats = session.tool(&format!("{server}__stats"), "{}").await;
    let pid = stats["result"]["pid"].as_u64();
    u32::try_from(pid.unwrap_or_else(|| panic!("{stats}"))).unwrap()
}

async fn run(config: &str) -> (Program, PathBuf, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let errors = folder.path().join("errors");
    let program = Program::run(config, &[], &errors).await;
    (program, errors, folder)
}

#[tokio::test]
async fn reload_replaces_only_changed_servers() {
    let (gateway, errors, _folder) = run(&config(&[("a", &[]), ("b", &[])])).await;
    let session = gateway.client().session().await;
    let (a, b) = (pid(&session, "a").await, pid(&session, "b").await);
    let changed: &[&str] = &["--tools", "4"];
    std::fs::write(
        &gateway.config,
        config(&[("a", &[]), ("b", changed), ("c", &[])]),
    )
    .unwrap();
    until("the reload", || said(&errors, "configuration applied") == 1).await;
    until("the end of the old one", || !is_alive(b)).await;
    assert_eq!(pid(&session, "a").await, a, "what is equal was not touched");
    assert_ne!(pid(&session, "b").await, b);
    let tools = within("the new tools", async {
        loop {
            let tools = session.tools().await;
            if tools.iter().any(|name| name == "b__tool-3") {
                return tools;
            }
        }
    });
    assert!(tools.await.iter().any(|name| name == "c__echo"));
}

#[tokio::test]
async fn an_empty_or_half_written_file_changes_nothing() {
    let (gateway, errors, _folder) = run(&config(&[("a", &[]), ("b", &[])])).await;
    let session = gateway.client().session().await;
    let (a, b) = (pid(&session, "a").await, pid(&session, "b").await);
    let whole = std::fs::read_to_string(&gateway.config).unwrap();
    for (before, part) in [
        "",
        "\n",
        "# nothing\n",
        "---\n",
        "\u{feff}",
        "null\n",
        "// x\n",
    ]
    .into_iter()
    .enumerate()
    {
        std::fs::write(&gateway.config, part).unwrap();
        until("the refusal", || {
            said(&errors, "the file is empty") > before
        })
        .await;
        std::fs::write(&gateway.config, &whole).unwrap();
    }
    signal(gateway.pid(), Signal::HUP);
    until("the reload", || said(&errors, "configuration applied") == 1).await;
    assert_eq!(pid(&session, "a").await, a);
    assert_eq!(pid(&session, "b").await, b);
}

#[tokio::test]
async fn a_yaml_file_that_breaks_off_inside_a_line_changes_nothing() {
    let program = program("scripted-server");
    let server = |name: &str| format!("  {name}:\n    command: [{program:?}]\n");
    let whole = format!("servers:\n{}{}", server("a"), server("b"));
    let (gateway, errors, _folder) = run(&whole).await;
    let session = gateway.client().session().await;
    let b = pid(&session, "b").await;
    let part = format!("servers:\n{}  b", server("a"));
    std::fs::write(&gateway.config, part).unwrap();
    until("the refusal", || {
        said(&errors, "breaks off inside a line") == 1
    })
    .await;
    std::fs::write(&gateway.config, &whole).unwrap();
    assert_eq!(pid(&session, "b").await, b);
    assert_eq!(said(&errors, "configuration applied"), 0);
    // A removal that ends at a line end is intended.
    std::fs::write(&gateway.config, format!("servers:\n{}", server("a"))).unwrap();
    until("the reload", || said(&errors, "configuration applied") == 1).await;
    until("the end of the removed one", || !is_alive(b)).await;
}

#[tokio::test]
async fn an_invalid_file_changes_nothing_and_is_reported() {
    let (gateway, errors, _folder) = run(&config(&[("a", &[]), ("b", &[])])).await;
    let session = gateway.client().session().await;
    let (a, b) = (pid(&session, "a").await, pid(&session, "b").await);
    std::fs::write(&gateway.config, "{ \"mcpServers\": ").unwrap();
    let kept = "reload rejected; keeping the previous configuration";
    until("the refusal", || said(&errors, kept) == 1).await;
    assert_eq!(pid(&session, "a").await, a);
    assert_eq!(pid(&session, "b").await, b);
    assert_eq!(said(&errors, "configuration applied"), 0);
    // Once fixed, it is applied.
    std::fs::write(&gateway.config, config(&[("a", &[]), ("c", &[])])).unwrap();
    until("the reload", || said(&errors, "configuration applied") == 1).await;
    until("the end of a server that is gone", || !is_alive(b)).await;
    assert_eq!(pid(&session, "a").await, a);
    let gone = session.tool("b__echo", "{}").await;
    assert_eq!(gone["error"]["code"], -32602, "{gone}");
    assert!(session.tool("c__echo", "{}").await["result"].is_object());
}

#[tokio::test]
async fn sighup_reloads_the_file() {
    let (gateway, errors, _folder) = run(&config(&[("a", &[]), ("b", &[])])).await;
    let session = gateway.client().session().await;
    let a = pid(&session, "a").await;
    signal(gateway.pid(), Signal::HUP);
    until("the reload", || said(&errors, "configuration applied") == 1).await;
    assert_eq!(pid(&session, "a").await, a, "nothing has changed");
}

#[tokio::test]
async fn variables_from_a_pipe_that_nobody_writes_do_not_stall_the_gateway() {
    let server = || json!({ "command": [program("scripted-server")] });
    let before = json!({ "servers": { "a": server(), "b": server() } });
    let (gateway, errors, folder) = run(&before.to_string()).await;
    let session = gateway.client().session().await;
    let pipe = folder.path().join("variables");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let mut after = before;
    after["servers"]["b"]["env_file"] = json!(pipe);
    std::fs::write(&gateway.config, after.to_string()).unwrap();
    let refused = "reload rejected; keeping the previous configuration";
    // Calls are served all the time.
    within("the refusal", async {
        while said(&errors, refused) == 0 {
            let answer = session.tool("a__echo", r#"{"text":"x"}"#).await;
            assert!(answer["error"].is_null(), "{answer}");
        }
    })
    .await;
    assert!(said(&errors, "nobody wrote anything") > 0);
}

/// Returns the number of threads of a process.
#[cfg(target_os = "linux")]
fn threads(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/task"))
        .unwrap()
        .count()
}

/// Reloads that give up on a pipe leave nothing behind, whether it has a writer or not.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn pipe_that_is_held_open_without_data_costs_a_reload_no_thread() {
    let server = || json!({ "command": [program("scripted-server")] });
    let before = json!({ "servers": { "a": server(), "b": server() } });
    let (gateway, errors, folder) = run(&before.to_string()).await;
    let session = gateway.client().session().await;
    assert!(session.tool("a__echo", "{}").await["error"].is_null());
    let pipe = folder.path().join("variables");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let mut writer = std::fs::File::options();
    let writer = writer.read(true).write(true).open(&pipe).unwrap();
    let mut after = before;
    after["servers"]["b"]["env_file"] = json!(pipe);
    let before = threads(gateway.pid());
    std::fs::write(&gateway.config, after.to_string()).unwrap();
    let refused = "reload rejected; keeping the previous configuration";
    until("the first refusal", || said(&errors, refused) == 1).await;
    for number in 2..=6 {
        signal(gateway.pid(), Signal::HUP);
        until("a refusal", || said(&errors, refused) == number).await;
    }
    // The runtime ends its idle threads after a while.
    let is_idle = || threads(gateway.pid()) <= before;
    until("the end of the reloads' threads", is_idle).await;
    assert!(said(&errors, "nobody wrote anything") > 0);
    // Its writer writes at last.
    drop(writer);
    let written = std::thread::spawn(move || std::fs::write(pipe, "NAME=value\n"));
    signal(gateway.pid(), Signal::HUP);
    until("the reload", || said(&errors, "configuration applied") == 1).await;
    written.join().unwrap().unwrap();
}
