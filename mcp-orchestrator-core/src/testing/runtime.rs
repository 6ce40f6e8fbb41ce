//! The contract suite of [`RuntimeBackend`].
//!
//! A fixture defines how the backend runs the few [`Script`]s that the suite needs; everything else is the same for
//! processes, pods and futures. The suite waits for events, for at most [`PATIENCE`], which is long enough for a pod.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{BoxStream, StreamExt as _};
use futures_util::{FutureExt as _, TryStreamExt as _};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::time::timeout;

use crate::credential::{Credential, Generation, Owner, Revision};
use crate::error::{ErrorKind, Result};
use crate::id::SlotName;
use crate::runtime::{
    Endpoint, Exit, Instance, InstanceEvent, InstanceKey, InstanceStatus, LaunchSpec, LogOptions,
    Phase, Progress, RuntimeBackend, Scope, SpecDigest,
};
use crate::server::ServerSpec;

/// Timeout for anything that the contract promises to happen.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A protocol message. If the program's output is its log, such messages are omitted from it.
const READY: &str = r#"{"jsonrpc":"2.0","method":"ready"}"#;

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
pub type Fixture<'a> = dyn Fn(Script) -> Option<ServerSpec> + Send + Sync + 'a;

/// Verifies the contract, on a backend that is not otherwise in use.
///
/// # Panics
/// If the backend violates the contract.
pub async fn suite(backend: &dyn RuntimeBackend, fixture: &Fixture<'_>) {
    let suite = Suite { backend, fixture };
    suite.absent_is_ok().await;
    suite.a_stream_has_one_holder().await;
    suite.keys_share_nothing().await;
    suite.an_end_is_told().await;
    suite.a_stubborn_one_is_ended().await;
    suite.the_watch_tells_everything().await;
    suite.logs_are_kept().await;
    suite.a_refresh_reaches_files().await;
    suite.dropping_is_safe().await;
    suite.http_is_joined().await;
    suite.what_cannot_start_is_told().await;
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

/// A conversation with an instance.
struct Talk {
    reader: BufReader<Box<dyn AsyncRead + Send + Unpin>>,
    writer: Box<dyn AsyncWrite + Send + Unpin>,
}

impl Suite<'_> {
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

    async fn started(&self, case: &Case) -> (Talk, Instance) {
        let mut instance = self.start(case).await.expect("it starts");
        let gone = Endpoint::Stream {
            reader: Box::new(tokio::io::empty()),
            writer: Box::new(tokio::io::sink()),
        };
        match std::mem::replace(&mut instance.endpoint, gone) {
            Endpoint::Stream { reader, writer } => {
                let reader = BufReader::new(reader);
                (Talk { reader, writer }, instance)
            }
            Endpoint::Http { .. } => panic!("a program on standard streams is a stream"),
        }
    }

    async fn remove(&self, case: &Case) {
        let remove = self.backend.remove(&case.key, Duration::from_millis(100));
        soon("a remove", remove).await.expect("it can be removed");
    }

    async fn absent_is_ok(&self) {
        let case = self.case(Script::Echo, "absent").expect("an echo");
        let (backend, key, grace) = (self.backend, &case.key, Duration::ZERO);
        backend.stop(key, grace).await.expect("absent is Ok");
        backend.remove(key, grace).await.expect("absent is Ok");
        let credential = Credential::none();
        let refreshed = backend.refresh(key, &credential).await;
        refreshed.expect("absent is Ok");
        let logs = backend.logs(key, LogOptions::default()).await;
        assert_eq!(
            logs.err().expect("no log").kind(),
            ErrorKind::NoRoute,
            "logs of what never was"
        );
    }

    async fn a_stream_has_one_holder(&self) {
        let case = self.case(Script::Echo, "holder").expect("an echo");
        let starts = join_all((0..8).map(|_| self.start(&case))).await;
        let (mut held, refused): (Vec<_>, Vec<_>) = starts.into_iter().partition(Result::is_ok);
        assert_eq!(held.len(), 1, "one of many starts gets the stream");
        for error in refused.into_iter().filter_map(Result::err) {
            assert_eq!(error.kind(), ErrorKind::Conflict);
        }
        let instance = held.remove(0).expect("the one that was held");
        assert!(instance.fresh, "it was started just now");
        drop(instance);
        // Dropping the instance releases the stream for the next holder.
        let (mut talk, instance) = self.started(&case).await;
        assert_eq!(talk.say("hello").await, "hello");
        let conflict = self.start(&case).await.expect_err("it is held");
        assert_eq!(conflict.kind(), ErrorKind::Conflict);
        assert_eq!(talk.say("again").await, "again");
        self.remove(&case).await;
        soon("the exit", instance.exited).await;
        talk.ends().await;
    }

    async fn keys_share_nothing(&self) {
        let one = self.case(Script::Echo, "apart-1").expect("an echo");
        let two = self.case(Script::Echo, "apart-2").expect("an echo");
        let (_talk, first) = self.started(&one).await;
        let (mut talk, second) = self.started(&two).await;
        let grace = Duration::from_secs(5);
        let stop = self.backend.stop(&one.key, grace);
        soon("a stop", stop).await.expect("it stops");
        soon("the exit", first.exited).await;
        assert_eq!(talk.say("still here").await, "still here");
        let mut exited = second.exited;
        assert!((&mut exited).now_or_never().is_none(), "the other runs on");
        assert_eq!(talk.say("and again").await, "and again");
        self.remove(&one).await;
        self.remove(&two).await;
        soon("the exit", exited).await;
    }

    async fn an_end_is_told(&self) {
        let case = self.case(Script::Fail, "fail").expect("one that fails");
        let mut watch = self.backend.watch();
        let said = match self.start(&case).await {
            // The process may exit before the start has completed.
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::StartFailed);
                error.to_string()
            }
            Ok(instance) => {
                let Exit { reason, code, tail } = soon("the exit", instance.exited).await;
                assert_eq!(code, Some(3), "{reason}");
                format!("{reason} {}", tail.join(" "))
            }
        };
        for part in ["3", "last words"] {
            assert!(said.contains(part), "`{said}` tells `{part}`");
        }
        let failed = until(&mut watch, &case.key, |status| {
            status.phase == Phase::Failed
        })
        .await;
        assert!(failed.reason.is_some(), "a failure has a reason");
        let logs = self.lines(&case.key, LogOptions::default()).await;
        assert_eq!(logs, ["first words", "last words"]);
        self.remove(&case).await;
    }

    async fn a_stubborn_one_is_ended(&self) {
        let case = self
            .case(Script::Stubborn, "stubborn")
            .expect("a stubborn one");
        let (mut talk, instance) = self.started(&case).await;
        assert_eq!(talk.say("ready").await, "ready");
        let grace = Duration::from_millis(100);
        let stop = self.backend.stop(&case.key, grace);
        soon("a stop", stop).await.expect("it stops");
        soon("the exit", instance.exited).await;
        talk.ends().await;
        self.remove(&case).await;
    }

    async fn the_watch_tells_everything(&self) {
        let case = self.case(Script::Echo, "watch").expect("an echo");
        let mut early = self.backend.watch();
        let (talk, _instance) = self.started(&case).await;
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

        let stop = self.backend.stop(&case.key, Duration::from_secs(5));
        soon("a stop", stop).await.expect("it stops");
        let resting = |status: &InstanceStatus| status.phase == Phase::Resting;
        until(&mut early, &case.key, resting).await;
        self.remove(&case).await;
        for watch in [&mut early, &mut late] {
            while !matches!(next(watch).await, InstanceEvent::Gone(key) if key == case.key) {}
        }
        drop(talk);
    }

    async fn logs_are_kept(&self) {
        let case = self.case(Script::Chatty, "logs").expect("a chatty one");
        let (mut talk, _instance) = self.started(&case).await;
        assert_eq!(talk.say(READY).await, READY);
        let options = LogOptions {
            follow: true,
            ..LogOptions::default()
        };
        let logs = self.backend.logs(&case.key, options).await;
        let mut logs = logs.expect("it has a log");
        for number in 1..=100 {
            let line = soon("a line", logs.try_next()).await.expect("a line");
            assert_eq!(line.expect("a line").text, format!("line {number}"));
        }
        let tail = LogOptions {
            tail: Some(2),
            ..LogOptions::default()
        };
        let lines = self.lines(&case.key, tail).await;
        assert_eq!(lines, ["line 99", "line 100"]);

        let stop = self.backend.stop(&case.key, Duration::from_secs(5));
        soon("a stop", stop).await.expect("it stops");
        let (mut talk, _instance) = self.started(&case).await;
        assert_eq!(talk.say(READY).await, READY);
        let previous = LogOptions {
            previous: true,
            ..LogOptions::default()
        };
        assert_eq!(self.lines(&case.key, previous).await.len(), 100);
        self.remove(&case).await;
    }

    async fn a_refresh_reaches_files(&self) {
        let Some(case) = self.case(Script::ShowFile, "refresh") else {
            return;
        };
        let (mut talk, _instance) = self.started(&case).await;
        assert_eq!(talk.say("show").await, "one");
        let mut newer = Credential::clone(&case.launch.credential);
        newer.generation = Generation(1);
        let name = SlotName::new("token").expect("a name");
        newer.values = BTreeMap::from([(name, "two".into())]);
        let refresh = self.backend.refresh(&case.key, &newer);
        refresh.await.expect("it is refreshed");
        // It may take a while until the file is updated.
        let seen = async { while talk.say("show").await != "two" {} };
        soon("the newer secret", seen).await;
        self.remove(&case).await;
    }

    async fn dropping_is_safe(&self) {
        let case = self.case(Script::Echo, "dropped").expect("an echo");
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
        let (mut talk, instance) = self.started(&case).await;
        drop(instance.exited);
        assert_eq!(talk.say("hello").await, "hello");
        self.remove(&case).await;
    }

    async fn http_is_joined(&self) {
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

    async fn what_cannot_start_is_told(&self) {
        let Some(case) = self.case(Script::Missing, "missing") else {
            return;
        };
        let mut watch = self.backend.watch();
        let error = self.start(&case).await.expect_err("it cannot start");
        assert_eq!(error.kind(), ErrorKind::StartFailed);
        assert_eq!(error.server(), Some(&case.launch.server.id));
        until(&mut watch, &case.key, |status| {
            status.phase == Phase::Failed
        })
        .await;
        self.remove(&case).await;
    }

    async fn lines(&self, key: &InstanceKey, options: LogOptions) -> Vec<String> {
        let logs = self.backend.logs(key, options).await.expect("it has a log");
        let lines = logs.map_ok(|line| line.text).try_collect();
        soon("the log", lines).await.expect("its lines")
    }
}

impl Talk {
    async fn say(&mut self, line: &str) -> String {
        let line = format!("{line}\n");
        let told = self.writer.write_all(line.as_bytes());
        soon("writing a line", told).await.expect("it takes a line");
        let flushed = self.writer.flush();
        soon("flushing", flushed).await.expect("it takes a line");
        let mut answer = String::new();
        let read = self.reader.read_line(&mut answer);
        soon("an answer", read).await.expect("it answers");
        answer.trim_end().to_owned()
    }

    async fn ends(&mut self) {
        let mut rest = Vec::new();
        let read = self.reader.read_to_end(&mut rest);
        // A broken pipe also counts as the end.
        let _ = soon("the end of its output", read).await;
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
