//! Sessions that continue in another process: after a restart, or beside the process that opened them.

use std::path::Path;

use mcp_orchestrator_core::auth::{Authenticated, Authenticator};
use mcp_orchestrator_core::orchestrator::Limits;
use serde_json::json;

use super::*;

/// Two gateways in this process that share a state key, with one HTTP server and one program behind each.
struct Pair {
    upstream: Upstream,
    first: Gateway,
    second: Gateway,
    _folders: [tempfile::TempDir; 2],
}

impl Pair {
    async fn run(limits: Limits) -> Self {
        let upstream = Upstream::start(Script::default()).await;
        let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let gateway = async |folder: &Path| {
            Gateway::new()
                .server(scripted("x", &[]))
                .server(upstream.spec("h"))
                .limits(limits)
                .state(folder)
                .run()
                .await
        };
        let (first, second) = (
            gateway(folders[0].path()).await,
            gateway(folders[1].path()).await,
        );
        Self {
            upstream,
            first,
            second,
            _folders: folders,
        }
    }

    /// Returns a session of the first gateway as its client uses it at the second.
    fn moved(&self, session: &Session) -> Session {
        Session {
            client: session.client.clone().to(self.second.address),
            ..session.clone()
        }
    }
}

fn config() -> String {
    let server = json!({ "command": program("scripted-server") });
    json!({ "mcpServers": { "x": server } }).to_string()
}

/// A folder with a configuration, in which a program can be restarted.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), config()).unwrap();
    folder
}

async fn start(folder: &Path) -> Program {
    let args = ["--listen", "127.0.0.1:0"];
    Program::run_in(folder, &args, &[], &folder.join("errors")).await
}

/// Kills the program without a warning and starts it again.
async fn restart(mut program: Program, folder: &Path) -> Program {
    program.child.kill().await.unwrap();
    start(folder).await
}

#[tokio::test]
async fn hundred_sessions_continue_after_the_gateway_is_killed() {
    let folder = folder();
    let gateway = start(folder.path()).await;
    let mut sessions = Vec::new();
    for _ in 0..100 {
        let session = gateway.client().session().await;
        assert!(session.tool("echo", r#"{"n":1}"#).await["result"].is_object());
        sessions.push(session);
    }
    let gateway = restart(gateway, folder.path()).await;
    let mut calls = JoinSet::new();
    for mut session in sessions {
        session.client = session.client.to(gateway.address);
        calls.spawn(async move {
            let answer = session.tool("echo", r#"{"n":2}"#).await;
            assert_eq!(answer["result"]["echo"]["n"], 2, "{answer}");
            assert_eq!(session.delete().await, 200);
            assert_eq!(session.request_raw("1", "ping", "{}").await.status, 404);
        });
    }
    while let Some(done) = calls.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn call_in_flight_ends_with_an_error_when_its_stream_is_resumed_after_a_kill() {
    let folder = folder();
    let gateway = start(folder.path()).await;
    let mut lost = Vec::new();
    for id in ["5", r#""five-5""#] {
        let session = gateway.client().session().await;
        let mut call = session.begin(id, "gate", r#"{"name":"g"}"#).await;
        assert!(!call.wait_for_id().await.is_empty());
        lost.push((id, session, call.last_id.clone().unwrap()));
    }
    let gateway = restart(gateway, folder.path()).await;
    for (id, mut session, last) in lost {
        session.client = session.client.to(gateway.address);
        let mut rest = session.listen(Some(&last)).await;
        let event = rest.event().await.unwrap().json();
        assert_eq!(event["id"].to_string(), id, "{event}");
        let message = event["error"]["message"].as_str().unwrap();
        assert!(message.contains("is lost"), "{message}");
        assert!(rest.event().await.is_none());
        // Without the id of the request, no error can be assigned to it.
        let (place, _) = last.rsplit_once('-').unwrap();
        let mut rest = session.listen(Some(place)).await;
        assert!(rest.event().await.is_none());
    }
}

#[tokio::test]
async fn general_stream_of_a_continued_session_delivers_what_comes_after_an_old_event() {
    let pair = Pair::run(Limits::default()).await;
    let session = pair.first.session().await;
    session.tools().await;
    let mut general = session.listen(None).await;
    let old = general.event().await.unwrap().id;
    let moved = pair.moved(&session);
    moved.tools().await;
    let mut general = moved.listen(old.as_deref()).await;
    moved.tool("x__change", r#"{"n":9}"#).await;
    let event = general.event().await.unwrap();
    assert!(
        event.json()["method"]
            .as_str()
            .unwrap()
            .ends_with("list_changed")
    );
    // A later reader continues after the new event.
    let mut again = moved.listen(event.id.as_deref()).await;
    moved.tool("x__change", r#"{"n":10}"#).await;
    let next = again.event().await.unwrap();
    assert_ne!(next.id, event.id);
}

#[tokio::test]
async fn concurrent_requests_continue_one_session() {
    let pair = Pair::run(Limits::default()).await;
    let session = pair.first.session().await;
    session.tools().await;
    let opened = pair.upstream.opened();
    let moved = pair.moved(&session);
    let mut calls = JoinSet::new();
    for n in 0..20 {
        let session = moved.clone();
        calls.spawn(async move {
            let arguments = json!({ "n": n }).to_string();
            let answer = session.tool("h__echo", &arguments).await;
            assert_eq!(answer["result"]["echo"]["n"], n, "{answer}");
        });
    }
    while let Some(done) = calls.join_next().await {
        done.unwrap();
    }
    // One for the continued session, and at most one for the lists of the second gateway.
    assert!(pair.upstream.opened() <= opened + 2);
    // The process that opened the session still serves it.
    let answer = session.tool("h__echo", r#"{"n":1}"#).await;
    assert_eq!(answer["result"]["echo"]["n"], 1, "{answer}");
}

#[tokio::test]
async fn continued_session_has_the_capabilities_that_its_client_declared() {
    let pair = Pair::run(Limits::default()).await;
    for (capabilities, is_asked) in [(r#"{"roots":{}}"#, true), ("{}", false)] {
        let session = pair.first.client("ann").session_with(capabilities).await;
        let moved = pair.moved(&session);
        let mut call = moved
            .begin("1", "h__ask", r#"{"method":"roots/list","value":{}}"#)
            .await;
        if is_asked {
            let asked = call.event().await.unwrap().json();
            assert_eq!(asked["method"], "roots/list", "{asked}");
            let answer = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": { "roots": [] } });
            assert_eq!(moved.post(&answer.to_string()).await.status, 202);
        }
        let answer = call.json().await;
        let answer = &answer["result"]["answer"];
        assert_eq!(answer["result"]["roots"].is_array(), is_asked, "{answer}");
    }
    let initialized = pair.upstream.server.received_of("initialize");
    let body = |at: &mcp_orchestrator_tests::scripted::Received| json(&at.body);
    let with_roots = initialized.iter().map(body);
    let mut with_roots =
        with_roots.filter(|body| body["params"]["capabilities"] == json!({ "roots": {} }));
    let info = &with_roots.next().unwrap()["params"]["clientInfo"];
    assert_eq!(*info, json!({ "name": "raw", "version": "1" }));
}

#[tokio::test]
async fn first_call_after_a_restart_has_the_headers_that_its_tool_requires() {
    let schema = r#"{"type":"object","properties":{"q":{"type":"string","x-mcp-header":"Q"}}}"#;
    let list = format!(r#""tools":[{{"name":"echo","inputSchema":{schema}}}]"#);
    let script = Script {
        legacy: false,
        modern: true,
        ..Script::default()
    };
    let upstream = Upstream::start(script.answering("tools/list", &list)).await;
    let folder = tempfile::tempdir().unwrap();
    let start = async || {
        let gateway = Gateway::new().server(upstream.spec("h"));
        gateway
            .server(scripted("x", &[]))
            .state(folder.path())
            .run()
            .await
    };
    let gateway = start().await;
    let mut session = gateway.session().await;
    assert!(session.tools().await.contains(&"h__echo".to_owned()));
    gateway.stop(Duration::from_secs(1)).await;
    let gateway = start().await;
    session.client = session.client.to(gateway.address);
    let answer = session.tool("h__echo", r#"{"q":"a"}"#).await;
    assert_eq!(answer["result"]["echo"]["q"], "a", "{answer}");
    let calls = upstream.server.received_of("tools/call");
    let mut headers = calls[0].headers.iter();
    assert!(
        headers.any(|(name, value)| name == "mcp-param-q" && value == "a"),
        "{:?}",
        calls[0].headers
    );
}

#[tokio::test]
async fn session_of_another_process_is_private_to_its_principal() {
    let pair = Pair::run(Limits::default()).await;
    let session = pair.first.client("ann").session().await;
    let bob = Session {
        client: pair.second.client("bob"),
        ..session.clone()
    };
    assert_eq!(bob.request_raw("1", "ping", "{}").await.status, 404);
    assert_eq!(bob.listen(None).await.status, 404);
    assert_eq!(bob.delete().await, 404);
    let mut altered = pair.moved(&session);
    altered.id.replace_range(
        60..61,
        if altered.id.as_bytes()[60] == b'A' {
            "B"
        } else {
            "A"
        },
    );
    assert_eq!(altered.request_raw("1", "ping", "{}").await.status, 404);
    let ann = pair.moved(&session);
    assert_eq!(ann.request_raw("1", "ping", "{}").await.status, 200);
}

#[tokio::test]
async fn ended_session_does_not_continue_again() {
    let pair = Pair::run(Limits::default()).await;
    // Once after it continued, and once without.
    for continues in [true, false] {
        let moved = pair.moved(&pair.first.session().await);
        if continues {
            assert_eq!(moved.request_raw("1", "ping", "{}").await.status, 200);
        }
        assert_eq!(moved.delete().await, 200);
        assert_eq!(moved.request_raw("1", "ping", "{}").await.status, 404);
        assert_eq!(moved.listen(None).await.status, 404);
        assert_eq!(moved.delete().await, 404);
    }
    // A session that ended in its own process cannot continue there.
    let session = pair.first.session().await;
    assert_eq!(session.delete().await, 200);
    assert_eq!(session.request_raw("1", "ping", "{}").await.status, 404);
}

#[tokio::test]
async fn continued_sessions_count_towards_the_limit_of_their_principal() {
    let limits = Limits {
        sessions_per_principal: std::num::NonZeroUsize::new(2),
        ..Limits::default()
    };
    let pair = Pair::run(limits).await;
    let mut moved = Vec::new();
    for _ in 0..2 {
        moved.push(pair.moved(&pair.first.session().await));
    }
    for session in &moved {
        assert_eq!(session.request_raw("1", "ping", "{}").await.status, 200);
    }
    // The second gateway ends the least recently used one.
    let newest = pair.second.session().await;
    assert_eq!(newest.request_raw("1", "ping", "{}").await.status, 200);
    assert_eq!(moved[0].request_raw("1", "ping", "{}").await.status, 404);
    assert_eq!(moved[1].request_raw("1", "ping", "{}").await.status, 200);
}

/// Authenticates everybody as one caller until access is revoked.
#[derive(Debug, Default)]
struct Revocable(std::sync::atomic::AtomicBool);

#[async_trait::async_trait]
impl Authenticator for Revocable {
    async fn authenticate(
        &self,
        _: &http::request::Parts,
    ) -> mcp_orchestrator_core::Result<Option<Authenticated>> {
        use mcp_orchestrator_core::auth::Principal;
        use mcp_orchestrator_core::id::PrincipalId;
        let is_revoked = self.0.load(std::sync::atomic::Ordering::Relaxed);
        let ann = Principal::user(PrincipalId::new("ann").unwrap(), "test");
        Ok((!is_revoked).then(|| Authenticated::new(std::sync::Arc::new(ann))))
    }
}

#[tokio::test]
async fn continued_session_is_bound_to_the_grant_of_its_first_request() {
    let pair = Pair::run(Limits::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let authenticator = std::sync::Arc::new(Revocable::default());
    let known_by: std::sync::Arc<dyn Authenticator> = authenticator.clone();
    let third = Gateway::new()
        .server(scripted("x", &[]))
        .known_by(known_by)
        .state(folder.path())
        .run()
        .await;
    let session = pair.first.client("ann").session().await;
    let moved = Session {
        client: session.client.clone().to(third.address),
        ..session
    };
    let mut general = moved.listen(None).await;
    assert_eq!(general.status, 200);
    authenticator
        .0
        .store(true, std::sync::atomic::Ordering::Relaxed);
    third.orchestrator.check_access();
    let end = within("the stream's end", async {
        while general.event().await.is_some() {}
    });
    end.await;
}
