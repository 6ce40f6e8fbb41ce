use super::*;
use crate::credential::{Owner, Revision};
use crate::id::ServerId;
use crate::runtime::{Exit, MemoryBackend, Phase, RemoteBackend, Scope, SpecDigest};
use crate::server::ServerSpec;

fn launch(server: ServerSpec) -> (InstanceKey, LaunchSpec) {
    let key = InstanceKey::new(
        server.id.clone(),
        Owner::Organization,
        Revision::none(),
        Scope::Shared,
        SpecDigest::from_text("00"),
    );
    let launch = LaunchSpec {
        server: Arc::new(server),
        credential: Arc::new(Credential::none()),
    };
    (key, launch)
}

fn remote(id: &str) -> (InstanceKey, LaunchSpec) {
    let url = http::Uri::from_static("http://127.0.0.1:1/mcp");
    launch(ServerSpec::remote(ServerId::new(id).unwrap(), url))
}

fn name(text: &str) -> BackendName {
    BackendName::new(text).unwrap()
}

/// Returns a backend with instances that write nothing and never exit.
fn memory() -> Arc<MemoryBackend> {
    Arc::new(MemoryBackend::new(|_, _, _| std::future::pending::<Exit>()))
}

#[tokio::test]
async fn program_runs_on_its_named_backend_or_on_the_first() {
    let (first, second) = (memory(), memory());
    let set = BackendSet::new()
        .with_programs(name("first"), Arc::<MemoryBackend>::clone(&first))
        .with_programs(name("second"), Arc::<MemoryBackend>::clone(&second));
    let server = |id: &str, backend: Option<&str>| {
        let id = ServerId::new(id).unwrap();
        launch(ServerSpec {
            backend: backend.map(name),
            ..ServerSpec::command(id, "x", [""; 0])
        })
    };
    let (plain, spec) = server("plain", None);
    let started = set.start(&plain, &spec, &Progress::unheard()).await;
    let (named, spec) = server("named", Some("second"));
    let other = set.start(&named, &spec, &Progress::unheard()).await;
    assert!(started.unwrap().fresh && other.unwrap().fresh);
    let all = |backend: Arc<MemoryBackend>| async move {
        let known = backend.watch().map(Result::unwrap);
        let known =
            known.take_while(|event| std::future::ready(!matches!(event, InstanceEvent::Synced)));
        let known = known.filter_map(|event| async move {
            match event {
                InstanceEvent::Is(status) => Some(status.key),
                _ => None,
            }
        });
        known.collect::<Vec<_>>().await
    };
    assert_eq!(
        (all(first).await, all(second).await),
        (vec![plain], vec![named])
    );
    let (key, spec) = server("lost", Some("third"));
    let error = set
        .start(&key, &spec, &Progress::unheard())
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("no backend for the name third (those that run: first, second)"),
        "{text}"
    );
}

#[tokio::test]
async fn server_is_dispatched_by_its_kind() {
    let set = BackendSet::new().with_remote(Arc::new(RemoteBackend::default()));
    assert_eq!(set.to_string(), "remote");
    let (key, spec) = remote("git");
    let started = set.start(&key, &spec, &Progress::unheard()).await.unwrap();
    assert!(started.fresh);
    let id = ServerId::new("time").unwrap();
    let (key, spec) = launch(ServerSpec::command(id, "mcp-time", [""; 0]));
    let error = set.start(&key, &spec, &Progress::unheard()).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("no backend for programs"), "{error}");
    set.stop(&key, Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn backends_are_watched_as_one_and_synced_once() {
    // It does not matter which backend serves which kind here.
    let (one, two) = (RemoteBackend::default(), RemoteBackend::default());
    let (first, second) = (remote("one"), remote("two"));
    for (backend, (key, spec)) in [(&one, &first), (&two, &second)] {
        backend
            .start(key, spec, &Progress::unheard())
            .await
            .unwrap();
    }
    let set = BackendSet::new()
        .with_programs(name("first"), Arc::new(one))
        .with_remote(Arc::new(two));
    let mut events = set.watch();
    for _ in 0..2 {
        let event = events.next().await.unwrap().unwrap();
        assert!(matches!(event, InstanceEvent::Is(status) if status.phase == Phase::Running));
    }
    let event = events.next().await.unwrap().unwrap();
    assert!(matches!(event, InstanceEvent::Synced));
    for (key, _) in [&first, &second] {
        assert!(set.logs(key, LogOptions::default()).await.is_ok());
        set.remove(key, Duration::ZERO).await.unwrap();
        let event = events.next().await.unwrap().unwrap();
        assert!(matches!(event, InstanceEvent::Gone(gone) if gone == *key));
        let error = set.logs(key, LogOptions::default()).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::NoRoute);
    }
}

#[tokio::test]
async fn an_empty_set_is_synced_and_waits() {
    use futures_util::FutureExt as _;
    let mut events = BackendSet::new().watch();
    let event = events.next().await.unwrap().unwrap();
    assert!(matches!(event, InstanceEvent::Synced));
    assert!(events.next().now_or_never().is_none());
}

#[cfg(feature = "test-util")]
#[tokio::test]
async fn backend_set_upholds_the_backend_contract() {
    use crate::runtime::memory::tests::{fixture, scripted};
    use crate::testing::connect::HttpPeer;
    use crate::testing::runtime::{Script, suite};
    let peer = HttpPeer::start().await;
    let url: http::Uri = format!("http://{}/mcp", peer.address()).parse().unwrap();
    for backend in [None, Some(name("second"))] {
        let set = BackendSet::new()
            .with_programs(name("first"), scripted())
            .with_programs(name("second"), scripted())
            .with_remote(Arc::new(RemoteBackend::default()));
        let fixture = |script| match script {
            Script::Http => Some(ServerSpec::remote(
                ServerId::new("git").unwrap(),
                url.clone(),
            )),
            script => fixture(script).map(|server| ServerSpec {
                backend: backend.clone(),
                ..server
            }),
        };
        suite(&set, &fixture).await;
    }
}

#[tokio::test]
async fn only_remote_servers_are_connected_to_for_a_check() {
    let set = BackendSet::new()
        .with_programs(name("first"), memory())
        .with_remote(Arc::new(RemoteBackend::default()));
    let program = ServerSpec::command(ServerId::new("program").unwrap(), "x", [""; 0]);
    set.check_connection(&program).await.unwrap();
    let (_, launch) = remote("far");
    let error = set.check_connection(&launch.server).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}
