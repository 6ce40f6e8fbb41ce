//! Child processes that speak streamable HTTP: they are given a port, and are ready when they accept connections.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its tasks end with its runtime"
)]

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mcp_orchestrator_core::server::{Launch, PortOwner, ProgramTransport, ServerSpec};
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::scripted::scripted;
use mcp_orchestrator_tests::wait::{is_alive, signal, until, within};
use parking_lot::Mutex;
use rustix::process::Signal;

/// The scripted server as a child that listens on its given port and records its starts.
fn child(name: &str, starts: &Path, more: &[&str]) -> ServerSpec {
    let starts = starts.to_string_lossy();
    let args = [&["--http", "${PORT}", "--starts", &starts][..], more].concat();
    let mut spec = scripted(name, &args);
    if let Launch::Program(program) = &mut spec.launch {
        program.transport = ProgramTransport::Http {
            port: None,
            path: "/mcp".into(),
            owner: PortOwner::Server,
        };
    }
    spec
}

fn starts(file: &Path) -> Vec<u32> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

#[tokio::test]
async fn http_child_is_started_once_and_serves_both_eras() {
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
async fn http_child_ends_when_the_orchestrator_is_dropped() {
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
async fn killed_http_child_is_restarted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("starts");
    let gateway = Gateway::new().server(child("x", &file, &[])).run().await;
    let session = gateway.session().await;
    assert!(session.tool("echo", "{}").await["error"].is_null());
    let first = starts(&file)[0];
    signal(first, Signal::KILL);
    until("the child to be gone", || !is_alive(first)).await;
    // The first call may still fail because the old child ended; the next one gets the new child.
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
async fn http_children_get_distinct_ports() {
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
async fn exit_before_listening_reports_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("starts");
    let spec = child("x", &file, &["--fail", "no licence here"]);
    let gateway = Gateway::new().server(spec).run().await;
    let session = gateway.session().await;
    let answer = session.tool("echo", "{}").await;
    let text = answer["error"].to_string();
    assert!(text.contains("no licence here"), "{answer}");
}

/// Another process of the machine, as seen by a child: accepts connections, keeps them open, and records what it
/// receives.
fn thief(listener: TcpListener) -> Arc<Mutex<Vec<u8>>> {
    let stolen = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&stolen);
    let take = move |mut stream: TcpStream| {
        let notes = Arc::clone(&notes);
        std::thread::spawn(move || {
            let mut chunk = [0; 1024];
            while let Ok(read @ 1..) = stream.read(&mut chunk) {
                notes.lock().extend_from_slice(&chunk[..read]);
            }
        });
    };
    std::thread::spawn(move || listener.incoming().flatten().for_each(take));
    stolen
}

/// A child with this port.
fn child_at(name: &str, starts: &Path, port: u16, owner: PortOwner) -> ServerSpec {
    let mut spec = child(name, starts, &[]);
    if let Launch::Program(program) = &mut spec.launch {
        program.transport = ProgramTransport::Http {
            port: Some(port),
            path: "/mcp".into(),
            owner,
        };
    }
    spec
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test]
async fn process_on_the_same_port_of_another_address_family_is_not_contacted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("starts");
    let port = free_port();
    let Ok(listener) = TcpListener::bind(("::1", port)) else {
        return;
    };
    let stolen = thief(listener);
    let gateway = Gateway::new()
        .server(child_at("x", &file, port, PortOwner::Server))
        .run()
        .await;
    let session = gateway.session().await;
    for _ in 0..3 {
        let answer = session.tool("echo", "{}").await;
        assert!(answer["error"].is_null(), "{answer}");
    }
    assert!(stolen.lock().is_empty());
}

#[tokio::test]
async fn process_that_takes_the_port_of_a_dead_child_receives_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("starts");
    let port = free_port();
    let gateway = Gateway::new()
        .server(child_at("x", &file, port, PortOwner::Server))
        .run()
        .await;
    let session = gateway.session().await;
    assert!(session.tool("echo", "{}").await["error"].is_null());
    let pid = starts(&file)[0];
    signal(pid, Signal::KILL);
    until("the child to be gone", || !is_alive(pid)).await;
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let stolen = thief(listener);
    for _ in 0..3 {
        let answer = session.tool("echo", "{}").await;
        assert!(!answer["error"].is_null(), "{answer}");
    }
    assert!(stolen.lock().is_empty());
}

#[tokio::test]
async fn foreign_listener_is_not_mistaken_for_the_child() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let Ok(listener) = TcpListener::bind(("::1", port)) else {
        return;
    };
    let stolen = thief(listener);
    let mut spec = child_at("x", folder.path(), port, PortOwner::Server);
    if let Launch::Program(program) = &mut spec.launch {
        let command = program.command.as_mut().unwrap();
        command.program = "sleep".into();
        command.args = vec!["600".into()];
    }
    let gateway = Gateway::new().server(spec).run().await;
    let session = gateway.session().await;
    let mut call = session.begin_with_token("1", "1", "echo", "{}").await;
    within("the reason of the wait", async {
        loop {
            let event = call.event().await.unwrap().json();
            if event.to_string().contains("another process answers") {
                break;
            }
        }
    })
    .await;
    assert!(stolen.lock().is_empty());
}

#[tokio::test]
async fn forwarded_port_is_reached_only_if_any_port_owner_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("starts");
    let (published, inner) = (free_port(), free_port());
    let Ok(listener) = TcpListener::bind(("::1", published)) else {
        return;
    };
    // Like a container engine that publishes a container's port.
    std::thread::spawn(move || {
        for mut from in listener.incoming().flatten() {
            // The published port accepts connections before the server does.
            let to = (0..1000).find_map(|_| {
                let to = TcpStream::connect(("127.0.0.1", inner)).ok();
                to.or_else(|| {
                    std::thread::sleep(Duration::from_millis(5));
                    None
                })
            });
            let Some(mut to) = to else { continue };
            let (mut back, mut there) = (to.try_clone().unwrap(), from.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            std::thread::spawn(move || std::io::copy(&mut back, &mut there));
        }
    });
    for (owner, works) in [(PortOwner::Any, true), (PortOwner::Server, false)] {
        let mut spec = child_at("x", &file, published, owner);
        if let Launch::Program(program) = &mut spec.launch {
            let command = program.command.as_mut().unwrap();
            let place = command
                .args
                .iter()
                .position(|arg| arg.expose() == "${PORT}");
            command.args[place.unwrap()] = inner.to_string().into();
        }
        spec.limits.start_timeout = Duration::from_secs(3);
        let gateway = Gateway::new().server(spec).run().await;
        let session = gateway.session().await;
        let answer = session.tool("echo", "{}").await;
        assert_eq!(answer["error"].is_null(), works, "{answer}");
        gateway.orchestrator.shutdown(Duration::from_secs(1)).await;
    }
}
