//! Legacy sessions: opened and ended without a trace, accessible to their principal only, and resumed after a stream
//! broke.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its tasks end with its runtime"
)]

mod metrics;
mod restarts;

use std::time::Duration;

use mcp_orchestrator_core::server::Isolation;
use mcp_orchestrator_tests::client::{Session, json};
use mcp_orchestrator_tests::gateway::Gateway;
use mcp_orchestrator_tests::program::Program;
use mcp_orchestrator_tests::scripted::{Script, Upstream, program, scripted};
use mcp_orchestrator_tests::wait::{is_alive, until, within};
use tokio::task::JoinSet;

fn alive() -> usize {
    tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks()
}

async fn use_and_end(session: Session, own: bool) {
    let tools = session.tools().await;
    assert!(tools.iter().any(|name| name == "shared__echo"), "{tools:?}");
    for server in ["shared", "http"] {
        let answer = session.tool(&format!("{server}__echo"), r#"{"n":1}"#).await;
        assert_eq!(answer["result"]["echo"]["n"], 1, "{answer}");
    }
    if own {
        let answer = session.tool("own__echo", r#"{"n":1}"#).await;
        assert_eq!(answer["result"]["echo"]["n"], 1, "{answer}");
    }
    assert_eq!(session.delete().await, 200);
    let gone = session.request_raw("1", "ping", "{}").await;
    assert_eq!(gone.status, 404);
}

async fn crowd(gateway: &Gateway, count: usize) {
    let mut sessions = JoinSet::new();
    for n in 0..count {
        if sessions.len() >= 16 {
            sessions.join_next().await.unwrap().unwrap();
        }
        let client = gateway.client("ann");
        sessions.spawn(async move { use_and_end(client.session().await, n % 50 == 0).await });
    }
    while let Some(done) = sessions.join_next().await {
        done.unwrap();
    }
}

/// Waits until only the shared child and the engine's own conversation are left.
async fn quiet(gateway: &Gateway, upstream: &Upstream) -> usize {
    until("the upstream sessions' ends", || upstream.sessions() == 1).await;
    while gateway.pids().await.len() > 1 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    alive()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousand_sessions_leave_nothing_behind() {
    let upstream = Upstream::start(Script::default()).await;
    let mut own = scripted("own", &[]);
    own.isolation = Isolation::Session;
    let gateway = Gateway::new()
        .server(scripted("shared", &[]))
        .server(own)
        .server(upstream.spec("http"))
        .run()
        .await;
    // Opens the connections that are kept for later requests.
    crowd(&gateway, 50).await;
    let resting = within("a quiet start", quiet(&gateway, &upstream)).await;
    crowd(&gateway, 1000).await;
    within("a quiet end", quiet(&gateway, &upstream)).await;
    assert_eq!(upstream.opened(), 1051);
    until("the tasks' ends", || alive() <= resting + 64).await;
    let text = gateway.orchestrator.metrics().text();
    let open = text
        .lines()
        .find(|line| line.contains("sessions") && !line.starts_with('#'));
    assert!(open.is_some(), "{text}");
}

/// Returns the resident memory of a process, in KiB.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.unwrap().trim().split(' ').next().unwrap();
    number.parse().unwrap()
}

async fn pass_by(gateway: &Program, count: usize) {
    let mut sessions = JoinSet::new();
    for _ in 0..count {
        if sessions.len() >= 16 {
            sessions.join_next().await.unwrap().unwrap();
        }
        let client = gateway.client();
        sessions.spawn(async move {
            let session = client.session().await;
            let answer = session.tool("echo", r#"{"n":1}"#).await;
            assert_eq!(answer["result"]["echo"]["n"], 1, "{answer}");
            assert_eq!(session.delete().await, 200);
        });
    }
    while let Some(done) = sessions.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn thousand_more_sessions_use_no_more_memory() {
    let folder = tempfile::tempdir().unwrap();
    let server = serde_json::json!({ "command": program("scripted-server") });
    let config = serde_json::json!({ "mcpServers": { "x": server } }).to_string();
    let gateway = Program::run(&config, &[], &folder.path().join("errors")).await;
    // The first two thousand sessions fill what is allocated once: pools, caches, the allocator's pages.
    pass_by(&gateway, 2000).await;
    let before = resident(gateway.pid());
    pass_by(&gateway, 1000).await;
    let after = resident(gateway.pid());
    // A session takes some KiB; a thousand leaked sessions would take several MiB.
    assert!(after < before + 1024, "{before} KiB, then {after} KiB");
}

#[tokio::test]
async fn session_is_private_to_its_principal() {
    let gateway = Gateway::new().server(scripted("x", &[])).run().await;
    let ann = gateway.session().await;
    let bob = Session {
        client: gateway.client("bob"),
        ..ann.clone()
    };
    assert_eq!(bob.request_raw("1", "ping", "{}").await.status, 404);
    assert_eq!(bob.listen(None).await.status, 404);
    assert_eq!(bob.delete().await, 404);
    let notified = bob
        .post(r#"{"jsonrpc":"2.0","method":"notifications/x"}"#)
        .await;
    assert_eq!(notified.status, 404);
    assert_eq!(ann.request_raw("1", "ping", "{}").await.status, 200);
    let mut none = gateway
        .client("ann")
        .send("POST", &[], br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)
        .await;
    assert_eq!(none.status, 400);
    assert_eq!(json(&none.bytes().await)["id"], 1);
}

#[tokio::test]
async fn ended_session_cancels_its_calls() {
    let upstream = Upstream::start(Script::default()).await;
    let gateway = Gateway::new()
        .server(scripted("x", &[]))
        .server(upstream.spec("h"))
        .run()
        .await;
    let session = gateway.session().await;
    let other = gateway.session().await;
    let mut calls = JoinSet::new();
    for server in ["x", "h"] {
        let session = session.clone();
        calls.spawn(async move { session.tool(&format!("{server}__hang"), "{}").await });
    }
    within("both calls", async {
        loop {
            let stats = other.tool("x__stats", "{}").await;
            if stats["result"]["counts"]["tools/call"].as_u64() > Some(1)
                && upstream.server.calls() == 1
                && stats["result"]["calls"].as_u64() > Some(1)
            {
                break;
            }
        }
    })
    .await;
    assert_eq!(session.delete().await, 200);
    while let Some(answer) = within("an end", calls.join_next()).await {
        assert!(answer.unwrap()["result"].is_null());
    }
    within("a cancellation at the pipe", async {
        while other.tool("x__stats", "{}").await["result"]["cancelled"]
            .as_array()
            .is_some_and(Vec::is_empty)
        {}
    })
    .await;
}

#[tokio::test]
async fn session_that_ends_during_a_start_leaves_no_child() {
    let folder = tempfile::tempdir().unwrap();
    let (gate, starts) = (folder.path().join("gate"), folder.path().join("starts"));
    let args = [
        "--wait-for",
        gate.to_str().unwrap(),
        "--starts",
        starts.to_str().unwrap(),
    ];
    let mut own = scripted("own", &args);
    own.isolation = Isolation::Session;
    let gateway = Gateway::new().server(own).run().await;
    let read = || std::fs::read_to_string(&starts).unwrap_or_default();
    for n in 1..=5 {
        let _ = std::fs::remove_file(&gate);
        let session = gateway.session().await;
        let calling = session.clone();
        let call = tokio::spawn(async move { calling.tool("echo", "{}").await });
        until("a start", || read().lines().count() == n).await;
        assert_eq!(session.delete().await, 200);
        std::fs::write(&gate, "").unwrap();
        within("the call's end", call).await.unwrap();
    }
    let pids: Vec<u32> = read()
        .lines()
        .filter_map(|line| line.parse().ok())
        .collect();
    until("every child's end", || {
        !pids.iter().any(|pid| is_alive(*pid))
    })
    .await;
}

#[tokio::test]
async fn idle_session_expires() {
    let gateway = Gateway::new()
        .server(scripted("x", &[]))
        .session_idle(Duration::from_millis(1))
        .run()
        .await;
    let session = gateway.session().await;
    within("its end", async {
        while session.listen(Some("7-7")).await.status != 404 {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn broken_stream_is_resumed_without_loss_or_repetition() {
    let gateway = Gateway::new().server(scripted("x", &[])).run().await;
    let session = gateway.session().await;
    let mut broken = session
        .begin_with_token("9", "9", "gate", r#"{"name":"g"}"#)
        .await;
    let first = broken.event().await.unwrap();
    assert_eq!(first.json()["params"]["progress"], 1);
    let last = first.id.expect("an event of a session has an id");
    drop(broken);
    session.tool("open", r#"{"name":"g"}"#).await;
    let mut rest = session.listen(Some(&last)).await;
    let second = rest.event().await.unwrap();
    assert_eq!(second.json()["params"]["progress"], 2);
    let result = rest.event().await.unwrap();
    assert_eq!(result.json()["id"], 9);
    assert_eq!(result.json()["result"]["content"][0]["text"], "g");
    assert!(rest.event().await.is_none());
    let mut after = session.listen(result.id.as_deref()).await;
    assert!(after.event().await.is_none(), "the result comes once");
    let mut again = session.listen(second.id.as_deref()).await;
    assert_eq!(again.event().await.unwrap().json()["id"], 9);
}

#[tokio::test]
async fn slow_reader_that_missed_events_resumes_at_its_position() {
    let gateway = Gateway::new().server(scripted("x", &[])).run().await;
    let session = gateway.session().await;
    let mut all = session
        .begin_with_token("9", "9", "progress", r#"{"n":5000}"#)
        .await;
    let mut seen = Vec::new();
    while let Some(event) = all.event().await {
        seen.push(event);
    }
    assert_eq!(seen.last().unwrap().json()["id"], 9);
    let known = &seen[seen.len() - 3];
    let mut rest = session.listen(known.id.as_deref()).await;
    for expected in &seen[seen.len() - 2..] {
        assert_eq!(rest.event().await.unwrap().data, expected.data);
    }
    assert!(rest.event().await.is_none());
}

#[tokio::test]
async fn events_of_an_overflowed_stream_keep_their_ids() {
    let gateway = Gateway::new().server(scripted("x", &[])).run().await;
    let session = gateway.session().await;
    let mut broken = session
        .begin_with_token("9", "9", "progress", r#"{"n":1000}"#)
        .await;
    let first = broken.event().await.unwrap().id.unwrap();
    drop(broken);
    let stream = first.split_once('-').unwrap().0;
    let begin = format!("{stream}-0");
    let mut live = session.listen(Some(&begin)).await;
    while live.event().await.is_some() {}
    // By now the stream has ended and its first events are discarded.
    let mut kept = session.listen(Some(&begin)).await;
    // A flood may be thinned out upstream; the kept events have consecutive positions up to the last one.
    let (mut places, mut progress) = (Vec::new(), 0);
    while let Some(event) = kept.event().await {
        let id = event.id.as_deref().unwrap();
        places.push(id.split('-').nth(1).unwrap().parse::<u64>().unwrap());
        let told = event.json()["params"]["progress"].as_u64();
        assert!(told.unwrap_or(1001) > progress);
        progress = told.unwrap_or(1001);
    }
    let (end, kept) = (*places.last().unwrap(), places.len() as u64);
    assert!(kept <= 256 && progress == 1001);
    assert_eq!(places, (end - kept + 1..=end).collect::<Vec<_>>());
    let before_last = format!("{stream}-{}", end - 1);
    let mut last = session.listen(Some(&before_last)).await;
    assert_eq!(last.event().await.unwrap().json()["id"], 9);
    assert!(last.event().await.is_none());
}

#[tokio::test]
async fn newer_stream_replaces_the_older_one() {
    let gateway = Gateway::new().server(scripted("x", &[])).run().await;
    let session = gateway.session().await;
    session.tools().await;
    let mut old = session.listen(None).await;
    let mut new = session.listen(None).await;
    while old.event().await.is_some() {}
    session.tool("change", r#"{"n":5}"#).await;
    let event = new.event().await.unwrap();
    assert_eq!(event.json()["method"], "notifications/tools/list_changed");
}

#[tokio::test]
async fn events_missed_by_a_broken_listener_are_sent_again() {
    let gateway = Gateway::new().server(scripted("x", &[])).run().await;
    let session = gateway.session().await;
    session.tools().await;
    let mut first = session.listen(None).await;
    // One event for each kind of list that became known.
    let seen = [
        first.event().await.unwrap(),
        first.event().await.unwrap(),
        first.event().await.unwrap(),
    ];
    drop(first);
    session.tool("change", r#"{"n":12}"#).await;
    let mut second = session.listen(seen[0].id.as_deref()).await;
    for known in &seen[1..] {
        let again = second.event().await.unwrap();
        assert_eq!((&again.id, &again.data), (&known.id, &known.data));
    }
    let missed = second.event().await.unwrap();
    assert_eq!(missed.json()["method"], "notifications/tools/list_changed");
    assert!(seen.iter().all(|known| known.id != missed.id));
}

#[tokio::test]
async fn result_is_kept_if_the_stream_of_a_silent_call_breaks() {
    let gateway = Gateway::new().server(scripted("x", &[])).run().await;
    let session = gateway.session().await;
    let mut silent = session.begin("5", "gate", r#"{"name":"g"}"#).await;
    assert!(silent.is_stream());
    assert!(!silent.wait_for_id().await.is_empty());
    let last = silent.last_id.clone();
    drop(silent);
    session.tool("open", r#"{"name":"g"}"#).await;
    let mut rest = session.listen(last.as_deref()).await;
    assert_eq!(
        rest.event().await.unwrap().json()["result"]["content"][0]["text"],
        "g"
    );
}

#[tokio::test]
async fn id_in_flight_cannot_be_used_by_another_call() {
    let gateway = Gateway::new().server(scripted("x", &[])).run().await;
    let session = gateway.session().await;
    let mut first = session
        .begin_with_token("7", r#""t""#, "gate", r#"{"name":"g"}"#)
        .await;
    let progress = first.wait_for_id().await;
    assert!(!progress.is_empty());
    let mut second = session.begin("7", "echo", "{}").await;
    assert_eq!(second.status, 400);
    let refused = second.json().await;
    assert_eq!(refused["error"]["code"], -32600, "{refused}");
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("request id 7 "), "{message}");
    // The string "7" is a different id.
    let other = json(&session.begin(r#""7""#, "echo", "{}").await.message().await);
    assert_eq!(other["id"], "7", "{other}");
    // The second call does not affect the first, which can still be cancelled.
    session.cancel("7").await;
    let end = within("the cancelled call's end", async {
        while first.event().await.is_some() {}
    });
    end.await;
    let again = json(&session.begin("7", "echo", "{}").await.message().await);
    assert!(again["result"].is_object(), "{again}");
}

#[tokio::test]
async fn id_is_free_as_soon_as_its_response_is_delivered() {
    let gateway = Gateway::new().server(scripted("x", &[])).run().await;
    let session = gateway.session().await;
    for n in 0..200 {
        // Answered by a stream, and then at once.
        let mut stream = session
            .begin_with_token("1", r#""t""#, "progress", r#"{"n":1}"#)
            .await;
        let last = stream.json().await;
        assert!(last["result"].is_object(), "{n}: {last}");
        let plain = json(&session.begin("1", "echo", "{}").await.message().await);
        assert!(plain["result"].is_object(), "{n}: {plain}");
    }
}
