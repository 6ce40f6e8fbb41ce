//! Lists: complete, cached across restarts, without broken servers, and correct after a change.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and its tasks end with its runtime"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mcp_orchestrator_core::router::{ToolFilter, ToolNames};
use mcp_orchestrator_core::server::ServerSpec;
use mcp_orchestrator_tests::gateway::{Gateway, server_id};
use mcp_orchestrator_tests::scripted::{Script, Upstream, scripted};
use mcp_orchestrator_tests::wait::{until, within};

fn starts(path: &Path) -> usize {
    std::fs::read_to_string(path)
        .unwrap_or_default()
        .lines()
        .count()
}

fn counted(name: &str, path: &Path, more: &[&str]) -> ServerSpec {
    let mut args = vec!["--starts", path.to_str().unwrap()];
    args.extend_from_slice(more);
    scripted(name, &args)
}

#[tokio::test]
async fn lists_are_served_after_a_restart_without_starting_servers() {
    let folder = tempfile::tempdir().unwrap();
    let (state, path) = (folder.path().join("state"), folder.path().join("starts"));
    let upstream = Upstream::start(Script::default()).await;
    let build = || {
        Gateway::new()
            .server(counted("x", &path, &["--tools", "7"]))
            .server(upstream.spec("h"))
            .state(&state)
    };
    let gateway = build().run().await;
    let session = gateway.session().await;
    let first = session.tools().await;
    assert!(first.iter().any(|name| name == "x__tool-6"), "{first:?}");
    // Caches every list before the gateway stops.
    for list in ["prompts/list", "resources/list", "resources/templates/list"] {
        session.request(list, "{}").await;
    }
    drop(session);
    gateway.stop(Duration::from_secs(1)).await;
    assert_eq!(starts(&path), 1);
    let before = upstream.server.received().len();
    let gateway = build().run().await;
    let session = gateway.session().await;
    assert_eq!(session.tools().await, first);
    let modern = gateway.client("bob").modern("tools/list", "{}").await;
    assert_eq!(
        modern["result"]["tools"].as_array().unwrap().len(),
        first.len()
    );
    assert_eq!(
        session.hello["result"]["capabilities"]["tools"]["listChanged"],
        true
    );
    assert_eq!(starts(&path), 1);
    assert_eq!(upstream.server.received().len(), before);
    session.tool("x__echo", "{}").await;
    assert_eq!(starts(&path), 2);
}

#[tokio::test]
async fn first_list_includes_every_server_except_broken_ones() {
    let upstream = Upstream::start(Script::default()).await;
    let down = Upstream::start(Script::default()).await;
    let mut mute = scripted("mute", &["--mute"]);
    mute.limits.list_timeout = Duration::from_millis(500);
    let gateway = Gateway::new()
        .server(scripted("a", &[]))
        .server(scripted("b", &["--page", "3"]))
        .server(scripted("broken", &["--fail", "cannot"]))
        .server(mute)
        .server(upstream.spec("h"))
        .server(down.spec("down"))
        .run()
        .await;
    drop(down);
    let session = gateway.session().await;
    let tools = session.tools().await;
    for server in ["a", "b", "h"] {
        for tool in ["echo", "tool-0"] {
            let name = format!("{server}__{tool}");
            assert!(tools.contains(&name), "{name}: {tools:?}");
        }
    }
    for server in ["broken__", "mute__", "down__"] {
        assert!(
            !tools.iter().any(|name| name.starts_with(server)),
            "{tools:?}"
        );
    }
    let instances = gateway.orchestrator.instances().await;
    let broken = instances
        .iter()
        .find(|info| info.server == "broken")
        .unwrap();
    assert!(broken.reason.is_some(), "{broken:?}");
}

#[tokio::test]
async fn late_server_triggers_a_list_change_notification() {
    let folder = tempfile::tempdir().unwrap();
    let gate = folder.path().join("gate");
    let mut late = scripted("late", &["--wait-for", gate.to_str().unwrap()]);
    late.limits.list_timeout = Duration::from_millis(100);
    let gateway = Gateway::new()
        .server(scripted("a", &[]))
        .server(late)
        .run()
        .await;
    let session = gateway.session().await;
    assert!(
        !session
            .tools()
            .await
            .iter()
            .any(|name| name.starts_with("late__"))
    );
    let mut listening = session.listen(None).await;
    std::fs::write(&gate, "").unwrap();
    within("the late tools", async {
        loop {
            let event = listening.event().await.unwrap().json();
            assert_eq!(
                event["method"].as_str().unwrap().split('/').nth(2),
                Some("list_changed")
            );
            if session
                .tools()
                .await
                .iter()
                .any(|name| name.starts_with("late__"))
            {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn idle_child_is_stopped_and_started_again_on_a_call() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("starts");
    let mut spec = counted("x", &path, &[]);
    spec.limits.idle_timeout = Some(Duration::from_millis(200));
    let gateway = Gateway::new().server(spec).run().await;
    let session = gateway.session().await;
    session.tool("echo", "{}").await;
    within("its rest", async {
        while !gateway.pids().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(session.tools().await.contains(&"echo".to_owned()));
    assert_eq!(starts(&path), 1);
    let answer = session.tool("echo", r#"{"n":2}"#).await;
    assert_eq!(answer["result"]["echo"]["n"], 2);
    assert_eq!(starts(&path), 2);
    let mut waits = session
        .begin_with_token("1", "1", "gate", r#"{"name":"g"}"#)
        .await;
    waits.event().await.unwrap();
    // Longer than the idle timeout: a call in flight keeps the instance running.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    session.tool("open", r#"{"name":"g"}"#).await;
    assert_eq!(waits.json().await["result"]["content"][0]["text"], "g");
    assert_eq!(starts(&path), 2);
}

#[tokio::test]
async fn changed_spec_loses_no_call() {
    let gateway = Gateway::new()
        .server(scripted("x", &["--tools", "1"]))
        .run()
        .await;
    let session = gateway.session().await;
    session.tools().await;
    let mut waits = session
        .begin_with_token("1", "1", "gate", r#"{"name":"g"}"#)
        .await;
    waits.event().await.unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let (calling, seen) = (session.clone(), Arc::clone(&over));
    let calls = tokio::spawn(async move {
        let mut count = 0;
        while !seen.load(Ordering::Acquire) {
            let answer = calling.tool("echo", r#"{"n":1}"#).await;
            assert_eq!(answer["result"]["echo"]["n"], 1, "{answer}");
            count += 1;
        }
        count
    });
    let mut last = session.tool("stats", "{}").await["result"]["pid"].clone();
    for tools in 2..5 {
        gateway.apply(vec![scripted("x", &["--tools", &tools.to_string()])]);
        let wanted = format!("tool-{}", tools - 1);
        within("the new list", async {
            while !session.tools().await.contains(&wanted) {}
        })
        .await;
        let now = session.tool("stats", "{}").await["result"]["pid"].clone();
        assert_ne!(now, last);
        last = now;
    }
    over.store(true, Ordering::Release);
    assert!(calls.await.unwrap() > 3);
    // The old instance still has its call. Its gate is in its own process, so the client cancels the call.
    session.cancel("1").await;
    within("the old ones' ends", async {
        while gateway.pids().await.len() > 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn change_does_not_start_a_stopped_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("starts");
    let gateway = Gateway::new().server(counted("x", &path, &[])).run().await;
    gateway.apply(vec![counted("x", &path, &["--tools", "3"])]);
    let session = gateway.session().await;
    session.tool("echo", "{}").await;
    gateway.orchestrator.stop(&server_id("x")).await.unwrap();
    assert_eq!(starts(&path), 1);
    gateway.apply(vec![counted("x", &path, &["--tools", "4"])]);
    assert!(
        session.tools().await.contains(&"tool-2".to_owned()),
        "the old list stands"
    );
    assert_eq!(starts(&path), 1);
    session.tool("echo", "{}").await;
    assert_eq!(starts(&path), 2);
    within("the new list", async {
        while !session.tools().await.contains(&"tool-3".to_owned()) {}
    })
    .await;
}

#[tokio::test]
async fn change_that_fails_to_start_keeps_the_old_instance_serving() {
    let gateway = Gateway::new().server(scripted("x", &[])).run().await;
    let session = gateway.session().await;
    let pid = session.tool("stats", "{}").await["result"]["pid"].clone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("starts");
    gateway.apply(vec![counted("x", &path, &["--fail", "cannot"])]);
    until("the failed start", || starts(&path) > 0).await;
    for _ in 0..20 {
        let answer = session.tool("stats", "{}").await;
        assert_eq!(answer["result"]["pid"], pid, "{answer}");
    }
    within("what is told of it", async {
        loop {
            let instances = gateway.orchestrator.instances().await;
            if instances.iter().any(|info| info.reason.is_some()) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn change_during_a_start_is_applied() {
    let folder = tempfile::tempdir().unwrap();
    let (gate, path) = (folder.path().join("gate"), folder.path().join("starts"));
    let slow = counted("x", &path, &["--wait-for", gate.to_str().unwrap()]);
    let gateway = Gateway::new().server(slow).run().await;
    let session = gateway.session().await;
    let calling = session.clone();
    let call = tokio::spawn(async move { calling.tool("echo", "{}").await });
    until("a start", || starts(&path) == 1).await;
    gateway.apply(vec![scripted("x", &["--tools", "9"])]);
    std::fs::write(&gate, "").unwrap();
    let answer = within("the call", call).await.unwrap();
    assert!(answer["error"].is_null(), "{answer}");
    within("the changed server's list", async {
        while !session.tools().await.contains(&"tool-8".to_owned()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn removed_server_is_stopped_and_its_tools_disappear() {
    let gateway = Gateway::new()
        .server(scripted("x", &[]))
        .server(scripted("y", &[]))
        .run()
        .await;
    let session = gateway.session().await;
    session.tools().await;
    assert_eq!(gateway.pids().await.len(), 2);
    gateway.apply(vec![scripted("x", &[])]);
    within("its end", async {
        while gateway.pids().await.len() > 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let answer = session.tool("y__echo", "{}").await;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    assert!(
        session.tools().await.contains(&"echo".to_owned()),
        "one server: bare names"
    );
}

#[tokio::test]
async fn thousands_of_tools_are_listed_in_pages() {
    let upstream = Upstream::start(Script {
        tools: 2500,
        page: Some(100),
        ..Script::default()
    })
    .await;
    for spec in [
        scripted("x", &["--tools", "2500", "--page", "100"]),
        upstream.spec("x"),
    ] {
        let gateway = Gateway::new().server(spec).run().await;
        let session = gateway.session().await;
        let mut tools = session.tools().await;
        let count = tools.len();
        assert!(tools.contains(&"tool-2499".to_owned()), "{count}");
        tools.sort();
        tools.dedup();
        assert_eq!(tools.len(), count);
        let wrong = session
            .request("tools/list", r#"{"cursor":"nonsense"}"#)
            .await;
        assert_eq!(wrong["error"]["code"], -32602);
        let other = gateway.client("bob").session().await;
        let page = session.request("tools/list", "{}").await;
        let cursor = page["result"]["nextCursor"].clone();
        if !cursor.is_null() {
            let foreign = other
                .request("tools/list", &format!("{{\"cursor\":{cursor}}}"))
                .await;
            assert_eq!(foreign["error"]["code"], -32602, "{foreign}");
        }
    }
}

#[tokio::test]
async fn equal_tool_names_of_two_servers_are_distinguished() {
    let gateway = Gateway::new()
        .server(scripted("x", &[]))
        .server(scripted("y", &["--tools", "2"]))
        .run()
        .await;
    let session = gateway.session().await;
    let tools = session.tools().await;
    assert!(tools.contains(&"x__tool-0".to_owned()) && tools.contains(&"y__tool-0".to_owned()));
    assert!(!tools.contains(&"x__tool-1".to_owned()));
    let x = session.tool("x__stats", "{}").await["result"]["pid"].clone();
    let y = session.tool("y__stats", "{}").await["result"]["pid"].clone();
    assert_ne!(x, y);
    let modern = gateway.client("ann").modern_tool("y__stats", "{}").await;
    assert_eq!(modern["result"]["pid"], y);
    for unknown in ["echo", "z__echo", "x__", "__echo"] {
        let answer = session.tool(unknown, "{}").await;
        assert_eq!(answer["error"]["code"], -32602, "{unknown}: {answer}");
    }
}

#[tokio::test]
async fn filter_hides_tools_from_lists_and_calls() {
    let filter = ToolFilter::Some {
        show: vec!["e*".into()],
        hide: vec!["env".into(), "echo-*".into()],
        only: Vec::new(),
    };
    let gateway = Gateway::new()
        .server(scripted("x", &[]))
        .filter("x", filter)
        .names(ToolNames::Prefixed)
        .run()
        .await;
    let session = gateway.session().await;
    assert_eq!(session.tools().await, ["x__echo", "x__error"]);
    assert!(session.tool("x__echo", "{}").await["error"].is_null());
    let hidden = session.tool("x__env", "{}").await;
    let unknown = session.tool("x__nothing", "{}").await;
    assert_eq!(hidden["error"]["code"], -32602);
    let text = |answer: &serde_json::Value, name: &str| {
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .replace(name, "")
    };
    assert_eq!(text(&hidden, "env"), text(&unknown, "nothing"));
}

#[tokio::test]
async fn truncated_long_names_can_still_be_called() {
    let gateway = Gateway::new()
        .server(scripted("x", &[]))
        .names(ToolNames::Prefixed)
        .run()
        .await;
    let session = gateway.session().await;
    let tools = session.tools().await;
    assert!(tools.iter().all(|tool| tool.len() <= 64), "{tools:?}");
    let cut: Vec<_> = tools.iter().filter(|tool| tool.len() == 64).collect();
    assert_eq!(cut.len(), 1, "{tools:?}");
    let answer = session.tool(cut[0], r#"{"n":1}"#).await;
    assert_eq!(answer["result"]["echo"]["n"], 1, "{answer}");
}
