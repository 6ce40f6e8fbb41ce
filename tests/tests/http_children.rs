//! Child processes that speak streamable HTTP: they get their port, and are ready when they accept.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its tasks end with its runtime"
)]

use std::path::Path;
use std::time::Duration;

use mcp_orchestrator_core::server::{Launch, ProgramTransport, ServerSpec};
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::scripted::scripted;
use mcp_orchestrator_tests::wait::{is_alive, signal, until};
use rustix::process::Signal;

/// The scripted server as a child that listens on the port it is given, and writes down its starts.
fn child(name: &str, starts: &Path, more: &[&str]) -> ServerSpec {
    let starts = starts.to_string_lossy();
    let args = [&["--http", "${PORT}", "--starts", &starts][..], more].concat();
    let mut spec = scripted(name, &args);
    if let Launch::Program(program) = &mut spec.launch {
        program.transport = ProgramTransport::Http {
            port: None,
            path: "/mcp".into(),
        };
    }
    spec
}

fn starts(file: &Path) -> Vec<u32> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

#[tokio::test]
async fn one_is_started_at_the_first_call_and_serves_both_eras() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("starts");
    let gateway = Gateway::new()
        .server(child("x", &file, &["--era", "both"]))
        .run()
        .await;
    let session = gateway.session().await;
    for n in 0..10 {
        let legacy = session.tool("echo", &format!("{{\"n\":{n}}}")).await;
        assert_eq!(legacy["result"]["echo"]["n"], n, "{legacy}");
        let bob = gateway.client("bob");
        let modern = bob.modern_tool("echo", &format!("{{\"n\":{n}}}")).await;
        assert_eq!(modern["result"]["echo"]["n"], n, "{modern}");
    }
    let [pid] = starts(&file)[..] else {
        panic!("{:?}", starts(&file));
    };
    gateway.orchestrator.shutdown(Duration::from_secs(1)).await;
    until("the child to be gone", || !is_alive(pid)).await;
}

#[tokio::test]
async fn one_ends_with_an_orchestrator_that_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("starts");
    let gateway = Gateway::new().server(child("x", &file, &[])).run().await;
    let session = gateway.session().await;
    assert!(session.tool("echo", "{}").await["error"].is_null());
    let pid = starts(&file)[0];
    drop(gateway);
    until("the child to be gone", || !is_alive(pid)).await;
}

#[tokio::test]
async fn one_that_was_killed_is_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("starts");
    let gateway = Gateway::new().server(child("x", &file, &[])).run().await;
    let session = gateway.session().await;
    assert!(session.tool("echo", "{}").await["error"].is_null());
    let first = starts(&file)[0];
    signal(first, Signal::KILL);
    until("the child to be gone", || !is_alive(first)).await;
    // The first may still meet the end of the old one; whoever asks again gets the new one.
    let mut answer = session.tool("echo", "{}").await;
    if !answer["error"].is_null() {
        let text = answer["error"]["message"].as_str().unwrap();
        assert!(text.contains("server x"), "{answer}");
        answer = session.tool("echo", "{}").await;
    }
    assert!(answer["error"].is_null(), "{answer}");
    assert_eq!(starts(&file).len(), 2);
}

#[tokio::test]
async fn two_get_ports_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let gateway = Gateway::new()
        .server(child("one", &one, &[]))
        .server(child("two", &two, &[]))
        .run()
        .await;
    let session = gateway.session().await;
    for name in ["one__echo", "two__echo"] {
        let answer = session.tool(name, "{}").await;
        assert!(answer["error"].is_null(), "{answer}");
    }
    assert_eq!((starts(&one).len(), starts(&two).len()), (1, 1));
}

#[tokio::test]
async fn one_that_ends_before_it_listens_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("starts");
    let spec = child("x", &file, &["--fail", "no licence here"]);
    let gateway = Gateway::new().server(spec).run().await;
    let session = gateway.session().await;
    let answer = session.tool("echo", "{}").await;
    let text = answer["error"].to_string();
    assert!(text.contains("no licence here"), "{answer}");
}
