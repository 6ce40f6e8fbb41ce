//! Every example runs to completion and prints what it promises.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

/// No example waits for anything outside this machine.
const EXAMPLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Returns an example's output after it exited successfully.
fn output(program: &str) -> String {
    let mut child = Command::new(program)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = stdout.read_to_string(&mut text);
        let _ = sender.send(read.map(|_| text));
    });
    let text = match receiver.recv_timeout(EXAMPLE_TIMEOUT) {
        Ok(text) => text.unwrap(),
        Err(_) => {
            child.kill().unwrap();
            panic!("{program} did not end within {EXAMPLE_TIMEOUT:?}");
        }
    };
    let status = child.wait().unwrap();
    assert!(status.success(), "{program}: {status}\n{text}");
    text
}

fn assert_says(text: &str, wanted: &[&str]) {
    for wanted in wanted {
        assert!(text.contains(wanted), "{wanted:?} is missing in:\n{text}");
    }
}

/// Returns the process ids that the text mentions.
fn processes(text: &str) -> Vec<&str> {
    text.split("process ")
        .skip(1)
        .filter_map(|rest| rest.split(',').next())
        .collect()
}

#[test]
fn quickstart_calls_a_tool_and_prints_next_steps() {
    let text = output(env!("CARGO_BIN_EXE_quickstart"));
    assert_says(
        &text,
        &[
            "servers:\n  hello:\n",
            "tools/list  -> greet, whoami",
            "-> Hello, world!",
            "signed in as nobody",
            "--config ",
        ],
    );
}

#[test]
fn embed_axum_serves_the_app_and_mcp_and_rejects_requests_without_a_key() {
    let text = output(env!("CARGO_BIN_EXE_embed_axum"));
    assert_says(
        &text,
        &[
            "GET /  -> 200 OK the application's own page",
            "without a key  -> 401",
            "with ann's key  -> Hello, Ann!",
        ],
    );
}

#[test]
fn custom_backend_uses_its_own_launcher() {
    let text = output(env!("CARGO_BIN_EXE_custom_backend"));
    assert_says(&text, &["launched by a launcher of our own", "Running"]);
}

#[test]
fn custom_resolver_starts_one_instance_per_user() {
    let text = output(env!("CARGO_BIN_EXE_custom_resolver"));
    assert_says(
        &text,
        &[
            "ann calls whoami  -> signed in as ann-at-hello",
            "bob calls whoami  -> signed in as bob-at-hello",
            "eve calls whoami  -> error: ",
            "you have no token for hello",
            "instance of user/ann: Running",
            "instance of user/bob: Running",
        ],
    );
    let [ann, bob, again] = processes(&text)[..] else {
        panic!("three answers were expected:\n{text}");
    };
    assert_eq!(ann, again, "ann's second call reaches the same process");
    assert_ne!(ann, bob, "nobody shares a process with another's token");
    assert!(!text.contains("secret"), "a token shows:\n{text}");
}

#[test]
fn custom_router_hides_servers_of_other_teams() {
    let text = output(env!("CARGO_BIN_EXE_custom_router"));
    assert_says(
        &text,
        &[
            "ann sees wiki__greet, wiki__whoami, payroll__greet, payroll__whoami",
            "ann calls payroll__greet  -> Hello, ann!",
            "bob sees wiki__greet, wiki__whoami\n",
            "unknown tool \"payroll__greet\"",
        ],
    );
}
