//! The contract suite of [`RuntimeBackend`].
//!
//! A fixture defines how the backend runs the few [`Script`]s that the suite needs; everything else is the same for
//! processes, pods, futures and remote servers. The suite waits for events, for at most [`PATIENCE`], which is long enough for a pod.

mod programs;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use futures_util::stream::{BoxStream, StreamExt as _};
use tokio::time::timeout;

use self::programs::Talk;
use crate::credential::{Credential, Owner, Revision};
use crate::error::{ErrorKind, Result};
use crate::runtime::{
    Endpoint, Instance, InstanceEvent, InstanceKey, InstanceStatus, LaunchSpec, LogOptions, Phase,
    Progress, RuntimeBackend, Scope, SpecDigest,
};
use crate::server::ServerSpec;

/// Timeout for anything that the contract promises to happen.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A program that the suite needs.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// Echoes each line, and exits at the end of its input.
    Echo,
    /// Writes the lines `first words` and `last words` to its log, then exits with status 3.
    Fail,
    /// Like `Echo`, but ignores the end of its input and, on systems with signals, SIGTERM.
    Stubborn,
    /// Writes the lines `line 1` to `line 100` to its log, then continues like `Echo`.
    Chatty,
    /// Answers each line with the current content of the file for its slot `token`.
    ShowFile,
    /// Listens on its port and accepts connections.
    Http,
    /// Cannot be started: the program does not exist.
    Missing,
}

/// Returns how a backend runs a script, or `None` if it cannot.
///
/// A backend that starts programs runs at least `Echo`, `Fail`, `Stubborn` and `Chatty`; one that only connects to
/// servers runs `Http`.
pub type Fixture<'a> = dyn Fn(Script) -> Option<ServerSpec> + Send + Sync + 'a;

/// Verifies the contract, on a backend that is not otherwise in use.
///
/// # Panics
/// If the backend violates the contract, or the fixture runs neither `Echo` nor `Http`.
pub async fn suite(backend: &dyn RuntimeBackend, fixture: &Fixture<'_>) {
    let suite = Suite { backend, fixture };
    let (programs, http) = (suite.runs(Script::Echo), suite.runs(Script::Http));
    assert!(programs || http, "the fixture runs `Echo` or `Http`");
    let scripts = [(Script::Echo, programs), (Script::Http, http)];
    for (script, _) in scripts.into_iter().filter(|(_, runs)| *runs) {
        suite.absent_is_ok(script).await;
        suite.keys_share_nothing(script).await;
        suite.the_watch_reports_everything(script).await;
        suite.dropping_is_safe(script).await;
    }
    if programs {
        suite.programs().await;
    }
    if http {
        suite.running_instances_are_adopted().await;
    }
}

struct Suite<'a> {
    backend: &'a dyn RuntimeBackend,
    fixture: &'a Fixture<'a>,
}

/// A script with its own instance key.
struct Case {
    key: InstanceKey,
    launch: LaunchSpec,
}

impl Suite<'_> {
    fn runs(&self, script: Script) -> bool {
        (self.fixture)(script).is_some()
    }

    fn case(&self, script: Script, tag: &str) -> Option<Case> {
        let server = (self.fixture)(script)?;
        let mut credential = Credential::none();
        for slot in &server.slots {
            credential.values.insert(slot.name.clone(), "one".into());
        }
        let key = InstanceKey::new(
            server.id.clone(),
            Owner::Organization,
            Revision::none(),
            Scope::Session(tag.into()),
            SpecDigest::from_text("suite"),
        );
        let launch = LaunchSpec {
            server: Arc::new(server),
            credential: Arc::new(credential),
        };
        Some(Case { key, launch })
    }

    async fn start(&self, case: &Case) -> Result<Instance> {
        let progress = Progress::unheard();
        let start = self.backend.start(&case.key, &case.launch, &progress);
        soon("a start", start).await
    }

    async fn remove(&self, case: &Case) {
        let remove = self.backend.remove(&case.key, Duration::from_millis(100));
        soon("a remove", remove).await.expect("it can be removed");
    }

    async fn absent_is_ok(&self, script: Script) {
        let case = self.case(script, "absent").expect("the script");
        let (backend, key, grace) = (self.backend, &case.key, Duration::ZERO);
        backend.stop(key, grace).await.expect("absent is Ok");
        backend.remove(key, grace).await.expect("absent is Ok");
        backend.leave(key, grace).await.expect("absent is Ok");
        let credential = Credential::none();
        let refreshed = backend.refresh(key, &credential).await;
        refreshed.expect("absent is Ok");
        let logs = backend.logs(key, LogOptions::default()).await;
        let logs = logs.err().expect("an unknown instance has no log");
        assert_eq!(logs.kind(), ErrorKind::NoRoute);
        let description = backend.describe(key).await;
        let description = description.expect_err("an unknown instance is not described");
        assert_eq!(description.kind(), ErrorKind::NoRoute);
    }

    async fn keys_share_nothing(&self, script: Script) {
        let one = self.case(script, "apart-1").expect("the script");
        let two = self.case(script, "apart-2").expect("the script");
        let first = self.start(&one).await.expect("it starts");
        let mut second = self.start(&two).await.expect("it starts");
        let mut talk = Talk::with(&mut second);
        let stop = self.backend.stop(&one.key, Duration::from_secs(5));
        soon("a stop", stop).await.expect("it stops");
        soon("the exit", first.exited).await;
        if let Some(talk) = &mut talk {
            assert_eq!(talk.say("still here").await, "still here");
        }
        let mut exited = second.exited;
        assert!((&mut exited).now_or_never().is_none(), "the other runs on");
        if let Some(talk) = &mut talk {
            assert_eq!(talk.say("and again").await, "and again");
        }
        self.remove(&one).await;
        self.remove(&two).await;
        soon("the exit", exited).await;
    }

    async fn the_watch_reports_everything(&self, script: Script) {
        let case = self.case(script, "watch").expect("the script");
        let mut early = self.backend.watch();
        let instance = self.start(&case).await.expect("it starts");
        let running = |status: &InstanceStatus| status.phase == Phase::Running;
        until(&mut early, &case.key, running).await;

        // A later watcher is sent the instance before `Synced`.
        let mut late = self.backend.watch();
        let mut found = None;
        loop {
            match next(&mut late).await {
                InstanceEvent::Synced => break,
                InstanceEvent::Is(status) if status.key == case.key => found = Some(status.phase),
                InstanceEvent::Is(_) | InstanceEvent::Gone(_) => {}
            }
        }
        assert_eq!(found, Some(Phase::Running), "it is found");
        let described = soon("a description", self.backend.describe(&case.key)).await;
        described.expect("a running instance is described");

        let stop = self.backend.stop(&case.key, Duration::from_secs(5));
        soon("a stop", stop).await.expect("it stops");
        let stopped = |status: &InstanceStatus| status.phase == Phase::Resting;
        until(&mut early, &case.key, stopped).await;
        let described = soon("a description", self.backend.describe(&case.key)).await;
        described.expect("a stopped instance is described");
        self.remove(&case).await;
        for watch in [&mut early, &mut late] {
            while !matches!(next(watch).await, InstanceEvent::Gone(key) if key == case.key) {}
        }
        drop(instance);
    }

    async fn dropping_is_safe(&self, script: Script) {
        let case = self.case(script, "dropped").expect("the script");
        let progress = Progress::unheard();
        let start = self.backend.start(&case.key, &case.launch, &progress);
        drop(start.now_or_never());
        let remove = self.backend.remove(&case.key, Duration::from_secs(5));
        drop(remove.now_or_never());
        self.remove(&case).await;
        let mut watch = self.backend.watch();
        loop {
            match next(&mut watch).await {
                InstanceEvent::Synced => break,
                InstanceEvent::Is(status) => assert_ne!(status.key, case.key, "it was removed"),
                InstanceEvent::Gone(_) => {}
            }
        }
        let mut instance = self.start(&case).await.expect("it starts");
        let talk = Talk::with(&mut instance);
        drop(instance.exited);
        if let Some(mut talk) = talk {
            assert_eq!(talk.say("hello").await, "hello");
        }
        self.remove(&case).await;
    }

    async fn running_instances_are_adopted(&self) {
        let Some(case) = self.case(Script::Http, "http") else {
            return;
        };
        let starts = join_all((0..8).map(|_| self.start(&case))).await;
        let starts: Vec<Instance> = starts.into_iter().map(|s| s.expect("joined")).collect();
        let fresh = starts.iter().filter(|instance| instance.fresh);
        assert_eq!(fresh.count(), 1, "one process for all");
        for instance in &starts {
            let Endpoint::Http { connect, .. } = &instance.endpoint else {
                panic!("an HTTP server has an HTTP endpoint");
            };
            let connected = soon("a connection", connect.connect()).await;
            connected.expect("a ready one accepts");
        }
        self.remove(&case).await;
        let exits = starts.into_iter().map(|instance| instance.exited);
        soon("all exits", join_all(exits)).await;
        let again = self.start(&case).await.expect("it starts again");
        assert!(again.fresh);
        self.remove(&case).await;
    }
}

async fn next(watch: &mut BoxStream<'static, Result<InstanceEvent>>) -> InstanceEvent {
    let event = soon("an event", watch.next()).await;
    event.expect("the watch goes on").expect("an event")
}

async fn until(
    watch: &mut BoxStream<'static, Result<InstanceEvent>>,
    key: &InstanceKey,
    wanted: impl Fn(&InstanceStatus) -> bool,
) -> InstanceStatus {
    loop {
        match next(watch).await {
            InstanceEvent::Is(status) if status.key == *key && wanted(&status) => return status,
            _ => {}
        }
    }
}

async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    let Ok(output) = timeout(PATIENCE, future).await else {
        panic!("{what} takes longer than {PATIENCE:?}");
    };
    output
}
