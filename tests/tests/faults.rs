//! Failures are bounded and reported; no call hangs, and no process is left behind.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its tasks end with its runtime"
)]

use std::path::Path;
use std::time::Duration;

use mcp_orchestrator_core::server::{Isolation, StartMode};
use mcp_orchestrator_tests::client::{Session, call_params};
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::program::Program;
use mcp_orchestrator_tests::scripted::{Script, Upstream, program, scripted};
use mcp_orchestrator_tests::wait::{is_alive, signal, until, within};
use rustix::process::Signal;
use serde_json::Value;
use tokio::task::JoinSet;

fn lines(path: &Path) -> Vec<u32> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

async fn pid(session: &Session) -> u32 {
    let stats = session.tool("stats", "{}").await;
    let pid = stats["result"]["pid"]
        .as_u64()
        .unwrap_or_else(|| panic!("no pid: {stats}"));
    u32::try_from(pid).unwrap()
}

fn message(answer: &Value) -> &str {
    answer["error"]["message"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn child_killed_under_load_fails_its_calls_and_is_replaced() {
    let gateway = Gateway::new().server(scripted("x", &[])).run().await;
    let session = gateway.session().await;
    let first = pid(&session).await;
    let mut calls = JoinSet::new();
    for n in 0..50 {
        let session = session.clone();
        let hangs = n % 2 == 0;
        calls.spawn(async move {
            let tool = if hangs { "hang" } else { "echo" };
            session.tool(tool, "{\"n\":1}").await
        });
    }
    let watching = session.clone();
    within("25 calls in flight", async {
        while watching.tool("stats", "{}").await["result"]["calls"].as_u64() < Some(25) {}
    })
    .await;
    signal(first, Signal::KILL);
    let mut failed = 0;
    while let Some(answer) = within("every call's answer", calls.join_next()).await {
        let answer = answer.unwrap();
        if answer["result"]["echo"]["n"] == 1 {
            continue;
        }
        failed += 1;
        let text = message(&answer);
        assert!(text.contains("server x"), "{answer}");
        assert!(
            text.contains("signal 9") || text.contains("SIGKILL"),
            "{answer}"
        );
        assert_eq!(answer["error"]["data"]["server"], "x", "{answer}");
    }
    assert!(failed >= 25, "{failed}");
    let second = pid(&session).await;
    assert_ne!(first, second);
}

#[tokio::test]
async fn crash_of_a_private_instance_is_reported_with_status_and_last_output() {
    let mut own = scripted("x", &[]);
    own.isolation = Isolation::Principal;
    let gateway = Gateway::new().server(own).run().await;
    let session = gateway.session().await;
    let answer = session
        .tool("crash", r#"{"text":"out of cheese","code":42}"#)
        .await;
    let text = message(&answer);
    assert!(text.contains("server x") && text.contains("42"), "{answer}");
    assert_eq!(
        answer["error"]["data"]["stderr"][0], "out of cheese",
        "{answer}"
    );
    assert_eq!(answer["error"]["data"]["server"], "x", "{answer}");
    assert_eq!(session.tool("echo", "{}").await["error"], Value::Null);
}

#[tokio::test]
async fn crash_of_a_shared_instance_hides_its_output_from_callers() {
    let gateway = Gateway::new().server(scripted("x", &[])).run().await;
    let (ann, bob) = (
        gateway.session().await,
        gateway.client("bob").session().await,
    );
    // Output that Bob's call causes is not for Ann, even though her call is in flight when the program ends.
    let mut waits = ann
        .begin_with_token("1", "1", "gate", r#"{"name":"never"}"#)
        .await;
    waits.event().await.unwrap();
    let words = r#"{"text":"the private argument of bob","code":42}"#;
    let answers = [bob.tool("crash", words).await, waits.json().await];
    let modern = gateway.client("ann").modern_tool("crash", words).await;
    for answer in answers.iter().chain([&modern]) {
        let text = message(answer);
        assert!(text.contains("42") && text.contains("log"), "{answer}");
        assert!(!answer.to_string().contains("private"), "{answer}");
        assert!(answer["error"]["data"]["stderr"].is_null(), "{answer}");
    }
}

#[tokio::test]
async fn crash_loop_backs_off_and_reports_when_to_retry() {
    let folder = tempfile::tempdir().unwrap();
    let starts = folder.path().join("starts");
    let args = [
        "--starts",
        starts.to_str().unwrap(),
        "--fail",
        "no such database",
    ];
    let gateway = Gateway::new().server(scripted("x", &args)).run().await;
    let session = gateway.session().await;
    let mut last = Value::Null;
    within("a retry that is told", async {
        loop {
            last = session.tool("echo", "{}").await;
            let text = message(&last);
            assert!(text.contains("server x"), "{last}");
            assert!(last.to_string().contains("no such database"), "{last}");
            if last["error"]["data"]["retryAfterMs"].as_u64() > Some(0) {
                break;
            }
        }
    })
    .await;
    let count = lines(&starts).len();
    for _ in 0..20 {
        session.tool("echo", "{}").await;
    }
    assert!(lines(&starts).len() <= count + 1, "{last}");
    assert!(count <= 5, "{count} starts");
}

#[tokio::test]
async fn eager_server_is_started_and_restarted_without_a_call() {
    let folder = tempfile::tempdir().unwrap();
    let starts = folder.path().join("starts");
    let mut spec = scripted("x", &["--starts", starts.to_str().unwrap()]);
    spec.start = StartMode::Eager;
    let gateway = Gateway::new().server(spec).run().await;
    until("a start without a call", || lines(&starts).len() == 1).await;
    let session = gateway.session().await;
    signal(pid(&session).await, Signal::KILL);
    until("a second start without a call", || {
        lines(&starts).len() == 2
    })
    .await;
}

#[tokio::test]
async fn missing_program_is_named_in_the_error() {
    let mut spec = scripted("x", &[]);
    if let mcp_orchestrator_core::server::Launch::Program(program) = &mut spec.launch {
        program.command.as_mut().unwrap().program = "no-such-program-here".into();
    }
    let gateway = Gateway::new().server(spec).run().await;
    let answer = gateway.session().await.tool("echo", "{}").await;
    let text = message(&answer);
    assert!(text.contains("no-such-program-here"), "{answer}");
    assert!(
        text.contains("server x") || answer["error"]["data"]["server"] == "x",
        "{answer}"
    );
}

#[tokio::test]
async fn line_over_the_limit_fails_only_its_own_call() {
    let mut spec = scripted("x", &[]);
    spec.limits.message_bytes = 100_000;
    let gateway = Gateway::new().server(spec).run().await;
    let session = gateway.session().await;
    let other = gateway.session().await;
    let waiting = tokio::spawn(async move { other.tool("gate", r#"{"name":"g"}"#).await });
    let before = pid(&session).await;
    for size in [200_000, 3_000_000] {
        let answer = session.tool("long", &format!("{{\"n\":{size}}}")).await;
        let text = message(&answer);
        assert!(
            text.contains("server x") && text.contains("100000"),
            "{answer}"
        );
    }
    assert_eq!(pid(&session).await, before);
    session.tool("open", r#"{"name":"g"}"#).await;
    let answer = waiting.await.unwrap();
    assert_eq!(answer["result"]["content"][0]["text"], "g", "{answer}");
}

#[tokio::test]
async fn noise_floods_and_stderr_do_not_disturb_calls() {
    let gateway = Gateway::new().server(scripted("x", &[])).run().await;
    let session = gateway.session().await;
    let before = pid(&session).await;
    for (tool, n) in [
        ("noise", 0),
        ("flood", 20_000),
        ("stderr", 20_000),
        ("noise", 0),
    ] {
        let answer = session.tool(tool, &format!("{{\"n\":{n}}}")).await;
        assert_eq!(answer["result"]["content"][0]["text"], tool, "{answer}");
    }
    let answer = session
        .begin_with_token("7", "7", "progress", r#"{"n":20000}"#)
        .await;
    let answer = { answer }.json().await;
    assert_eq!(answer["result"]["content"][0]["text"], "done", "{answer}");
    assert_eq!(pid(&session).await, before);
}

#[tokio::test]
async fn unanswered_call_times_out_and_is_cancelled_upstream() {
    let mut spec = scripted("x", &[]);
    spec.limits.call_timeout = Duration::from_millis(300);
    let gateway = Gateway::new().server(spec).run().await;
    let session = gateway.session().await;
    for id in ["7", "\"8\""] {
        let answer = session.begin(id, "hang", "{}").await.json().await;
        assert!(message(&answer).contains("server x"), "{answer}");
        assert_eq!(answer["error"]["code"], 1004, "{answer}");
        let streamed = session
            .begin_with_token(id, "1", "hang", "{}")
            .await
            .json()
            .await;
        assert_eq!(streamed["error"]["code"], 1004, "{streamed}");
    }
    within("four cancellations", async {
        loop {
            let stats = session.tool("stats", "{}").await;
            if stats["result"]["cancelled"]
                .as_array()
                .is_some_and(|all| all.len() == 4)
            {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn unanswered_handshake_times_out() {
    let mut spec = scripted("x", &["--mute"]);
    spec.limits.start_timeout = Duration::from_millis(300);
    let gateway = Gateway::new().server(spec).run().await;
    let answer = gateway.session().await.tool("echo", "{}").await;
    assert_eq!(answer["error"]["code"], 1002, "{answer}");
    assert!(message(&answer).contains("server x"), "{answer}");
}

#[tokio::test]
async fn child_that_reads_nothing_delays_only_its_own_callers() {
    let mut spec = scripted("deaf", &[]);
    spec.limits.call_timeout = Duration::from_millis(500);
    let gateway = Gateway::new()
        .server(spec)
        .server(scripted("x", &[]))
        .run()
        .await;
    let session = gateway.session().await;
    let mut calls = JoinSet::new();
    let big = format!("{{\"text\":\"{}\"}}", "x".repeat(1 << 20));
    for _ in 0..8 {
        let (session, big) = (session.clone(), big.clone());
        calls.spawn(async move {
            session.tool("deaf__deaf", "{}").await;
            session.tool("deaf__echo", &big).await
        });
    }
    let answer = session.tool("x__echo", r#"{"n":1}"#).await;
    assert_eq!(answer["result"]["echo"]["n"], 1, "{answer}");
    while let Some(answer) = within("an answer of the deaf", calls.join_next()).await {
        assert_eq!(answer.unwrap()["error"]["code"], 1004);
    }
}

#[tokio::test]
async fn child_that_closes_stdout_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let starts = folder.path().join("starts");
    let args = ["--shut-up", "--starts", starts.to_str().unwrap()];
    let gateway = Gateway::new().server(scripted("x", &args)).run().await;
    let session = gateway.session().await;
    within("an answer of a new child", async {
        loop {
            let answer = session.tool("echo", "{}").await;
            if lines(&starts).len() > 1 && answer["error"].is_null() {
                break;
            }
        }
    })
    .await;
    let first = lines(&starts)[0];
    until("the end of the first child", || !is_alive(first)).await;
}

#[tokio::test]
async fn slow_client_does_not_delay_others() {
    let gateway = Gateway::new().server(scripted("x", &[])).run().await;
    let slow = gateway.client("ann").narrow().session().await;
    // Not read yet: the responses are larger than the connections' buffers.
    let mut events = slow
        .begin_with_token("1", "1", "progress", r#"{"n":30000}"#)
        .await;
    let mut whole = slow.begin("2", "blob", r#"{"n":8000000}"#).await;
    let session = gateway.session().await;
    for _ in 0..20 {
        let answer = session.tool("echo", r#"{"n":1}"#).await;
        assert_eq!(answer["result"]["echo"]["n"], 1, "{answer}");
    }
    let mut count = 0;
    while let Some(event) = events.event().await {
        count += 1;
        if event.json()["method"].is_null() {
            break;
        }
    }
    assert!(count < 30_000, "{count} events: it was never behind");
    assert!(whole.bytes().await.len() > 8_000_000);
}

#[tokio::test]
async fn stubborn_child_and_its_children_are_ended() {
    let args = ["--stubborn", "--grandchild"];
    let gateway = Gateway::new().server(scripted("x", &args)).run().await;
    let session = gateway.session().await;
    let child = pid(&session).await;
    let grandchildren = children_of(child);
    assert_eq!(grandchildren.len(), 1);
    let id = mcp_orchestrator_tests::gateway::server_id("x");
    within("the stop", gateway.orchestrator.stop(&id))
        .await
        .unwrap();
    until("their ends", || {
        !is_alive(child) && !is_alive(grandchildren[0])
    })
    .await;
    assert_ne!(pid(&session).await, child);
}

fn children_of(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

fn config(args: &[&str]) -> String {
    let server = serde_json::json!({
        "command": program("scripted-server"),
        "args": args,
    });
    serde_json::json!({ "mcpServers": { "x": server } }).to_string()
}

#[tokio::test]
async fn killed_gateway_leaves_no_child() {
    let folder = tempfile::tempdir().unwrap();
    let errors = folder.path().join("errors");
    let mut gateway = Program::run(&config(&["--stubborn", "--grandchild"]), &[], &errors).await;
    let session = gateway.client().session().await;
    let child = pid(&session).await;
    let mut all = children_of(child);
    all.push(child);
    assert_eq!(all.len(), 2);
    signal(gateway.pid(), Signal::KILL);
    gateway.child.wait().await.unwrap();
    let gone = async {
        while all.iter().any(|pid| is_alive(*pid)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(2), gone)
        .await
        .expect("no child after 2 s");
}

#[tokio::test]
async fn stopping_gateway_lets_a_running_call_finish() {
    let folder = tempfile::tempdir().unwrap();
    let errors = folder.path().join("errors");
    let mut gateway = Program::run(&config(&[]), &[], &errors).await;
    let client = gateway.client();
    let session = client.session().await;
    let child = pid(&session).await;
    let mut listening = session.listen(None).await;
    let mut call = JoinSet::new();
    let calling = session.clone();
    call.spawn(async move { calling.tool("sleep", r#"{"n":700}"#).await });
    within("a call in flight", async {
        while session.tool("stats", "{}").await["result"]["calls"].as_u64() < Some(3) {}
    })
    .await;
    signal(gateway.pid(), Signal::TERM);
    while listening.event().await.is_some() {}
    let answer = call.join_next().await.unwrap().unwrap();
    assert_eq!(answer["result"]["content"][0]["text"], "slept", "{answer}");
    let status = within("its end", gateway.child.wait()).await.unwrap();
    assert!(status.success(), "{status}");
    assert!(!is_alive(child));
    let refused = client.try_send("POST", &[], b"{}").await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn upstream_failure_under_load_leaves_no_call_hanging() {
    let upstream = Upstream::start(Script::default()).await;
    let gateway = Gateway::new().server(upstream.spec("x")).run().await;
    let session = gateway.session().await;
    let mut calls = JoinSet::new();
    for _ in 0..20 {
        let session = session.clone();
        calls.spawn(async move { session.tool("gate", r#"{"name":"never"}"#).await });
    }
    until("20 calls upstream", || upstream.server.calls() == 20).await;
    let address = upstream.address.to_string();
    drop(upstream);
    while let Some(answer) = within("an answer", calls.join_next()).await {
        let answer = answer.unwrap();
        assert!(message(&answer).contains("server x"), "{answer}");
    }
    let _again = Upstream::start_at(&address, Script::default()).await;
    let answer = session.tool("echo", "{}").await;
    assert_eq!(answer["error"], Value::Null, "{answer}");
    let modern = gateway
        .client("ann")
        .modern("tools/call", &call_params("echo", "{}"))
        .await;
    assert_eq!(modern["error"], Value::Null, "{modern}");
}
