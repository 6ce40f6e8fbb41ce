//! A secret appears only where it is used.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its tasks end with its runtime"
)]

use std::path::Path;

use mcp_orchestrator_core::server::{Launch, ServerSpec};
use mcp_orchestrator_core::value::Text;
use mcp_orchestrator_core::{id::GatewayId, router::Item};
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::program::Program;
use mcp_orchestrator_tests::scripted::{Script, Upstream, program, scripted};
use mcp_orchestrator_tests::wait::signal;

const IN_ENV: &str = "canary-in-an-environment-0001";
const IN_HEADER: &str = "canary-in-a-header-0002";
const IN_VARIABLE: &str = "canary-in-a-variable-0003";
const OURS: &str = "canary-in-our-environment-0004";

/// Returns the command lines of a process and its children; the servers' own children are not included.
fn command_lines(pid: u32) -> String {
    let read = |path: String| std::fs::read(path).unwrap_or_default();
    let mut all = String::from_utf8_lossy(&read(format!("/proc/{pid}/cmdline"))).into_owned();
    let children = read(format!("/proc/{pid}/task/{pid}/children"));
    for child in String::from_utf8_lossy(&children).split_whitespace() {
        all.push_str(&String::from_utf8_lossy(&read(format!(
            "/proc/{child}/cmdline"
        ))));
    }
    all
}

fn clean(what: &str, text: &str) {
    for canary in [IN_ENV, IN_HEADER, IN_VARIABLE, OURS] {
        if let Some(at) = text.find(canary) {
            let from = text.floor_char_boundary(at.saturating_sub(200));
            panic!("{what} shows {canary}: {}", &text[from..at + canary.len()]);
        }
    }
}

fn config(upstream: &Upstream, broken: &Path) -> String {
    serde_json::json!({ "mcpServers": {
        "x": {
            "command": program("scripted-server"),
            "env": { "TOKEN": IN_ENV, "OTHER": "${CANARY_VARIABLE}" },
        },
        "h": {
            "type": "http",
            "url": format!("http://{}/mcp", upstream.address),
            "headers": { "Authorization": format!("Bearer {IN_HEADER}") },
        },
        "refused": {
            "type": "http",
            "url": format!("http://{}/mcp", upstream.address),
            "headers": { "Authorization": format!("Basic {IN_HEADER}") },
        },
        "broken": { "command": broken, "env": { "TOKEN": IN_ENV } },
        "fails": {
            "command": program("scripted-server"),
            "args": ["--fail", "no ${CANARY_VARIABLE}"],
            "env": { "TOKEN": "${CANARY_VARIABLE}" },
        },
    }})
    .to_string()
}

#[tokio::test]
async fn program_neither_reveals_nor_leaks_secrets_to_children() {
    let upstream = Upstream::start(Script {
        authorization: Some(format!("Bearer {IN_HEADER}")),
        ..Script::default()
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let errors = folder.path().join("errors");
    let config = config(&upstream, &folder.path().join("nothing"));
    let env = [("CANARY_VARIABLE", IN_VARIABLE), ("CANARY_OURS", OURS)];
    let mut gateway = Program::run(&config, &env, &errors).await;
    let session = gateway.client().session().await;
    session.tools().await;
    let seen = session.tool("x__env", "{}").await;
    let seen = &seen["result"]["env"];
    assert_eq!(seen["TOKEN"], IN_ENV);
    assert_eq!(seen["OTHER"], IN_VARIABLE);
    assert!(seen["CANARY_OURS"].is_null() && seen["CANARY_VARIABLE"].is_null());
    assert!(!seen.to_string().contains(OURS));
    let known = [
        "PATH", "HOME", "USER", "LOGNAME", "LANG", "SHELL", "TERM", "TMPDIR", "TOKEN", "OTHER",
    ];
    for name in seen.as_object().unwrap().keys() {
        // Variables for proxies and certificate authorities are allowed too.
        let network = name.to_ascii_uppercase();
        let network =
            network.ends_with("_PROXY") || network.contains("CA_") || network.contains("CERT");
        let network = network || name.ends_with("CAINFO") || name == "npm_config_cafile";
        assert!(
            network || known.contains(&name.as_str()),
            "{name} reaches a child"
        );
    }
    assert!(session.tool("h__echo", "{}").await["error"].is_null());
    for server in ["refused", "broken", "fails"] {
        let answer = session.tool(&format!("{server}__echo"), "{}").await;
        assert!(!answer["error"].is_null(), "{answer}");
        clean("an error", &answer.to_string());
    }
    let words = format!(r#"{{"text":"bye {IN_ENV}","code":3}}"#);
    let crash = session.tool("x__crash", &words).await;
    clean("an error", &crash.to_string());
    assert_eq!(crash["error"]["data"]["stderr"][0], "bye [secret]");
    // Logged at level debug.
    session
        .notify(r#"{"jsonrpc":"2.0","id":9,"result":{}}"#)
        .await;
    clean("a command line", &command_lines(gateway.pid()));
    signal(gateway.pid(), rustix::process::Signal::TERM);
    gateway.child.wait().await.unwrap();
    let log = std::fs::read_to_string(&errors).unwrap();
    assert!(
        log.contains("TRACE") || log.contains("DEBUG"),
        "the log is at its finest: {log}"
    );
    clean("the log", &log);
}

fn with_secrets(mut spec: ServerSpec) -> ServerSpec {
    spec.env.insert("TOKEN".into(), Text::secret(IN_ENV));
    if let Launch::Remote(remote) = &mut spec.launch {
        let header = Text::secret(format!("Bearer {IN_HEADER}"));
        remote.headers.insert("authorization".into(), header);
    }
    spec
}

#[tokio::test]
async fn no_reachable_output_contains_a_secret() {
    let upstream = Upstream::start(Script {
        authorization: Some(format!("Bearer {IN_HEADER}")),
        ..Script::default()
    })
    .await;
    let specs = [
        with_secrets(scripted("x", &[])),
        with_secrets(upstream.spec("h")),
        with_secrets(scripted("fails", &["--fail", "no"])),
    ];
    clean("Debug of a spec", &format!("{specs:?} {specs:#?}"));
    let mut builder = Gateway::new();
    for spec in specs {
        builder = builder.server(spec);
    }
    clean("Debug of a builder", &format!("{builder:?}"));
    let gateway = builder.run().await;
    let session = gateway.session().await;
    session.tools().await;
    for name in ["x__echo", "h__echo", "fails__echo"] {
        let answer = session.tool(name, "{}").await;
        clean("an answer", &answer.to_string());
    }
    assert_eq!(
        session.tool("x__env", "{}").await["result"]["env"]["TOKEN"],
        IN_ENV
    );
    let orchestrator = &gateway.orchestrator;
    clean("Debug", &format!("{gateway:?} {orchestrator:#?}"));
    clean("ps", &format!("{:?}", orchestrator.instances().await));
    clean("metrics", &orchestrator.metrics().text());
    let principal = mcp_orchestrator_core::auth::Principal::user(
        mcp_orchestrator_core::id::PrincipalId::new("ann").unwrap(),
        "header",
    );
    for tool in ["x__echo", "h__echo", "fails__echo", "none"] {
        let explained = orchestrator
            .explain(
                &principal.clone().into(),
                &GatewayId::default_gateway(),
                Item::Tool(tool),
            )
            .await;
        clean("explain", &format!("{explained:?}"));
    }
}
