//! Checks of programs on standard streams.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use futures_util::future::join_all;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};

use super::case::{Case, Script, Suite, soon, until};
use crate::credential::{Credential, Generation};
use crate::error::{ErrorKind, Result};
use crate::id::SlotName;
use crate::runtime::{Endpoint, Exit, Instance, InstanceKey, LogOptions, Phase};

/// A protocol message. If the program's output is its log, such messages are omitted from it.
const READY: &str = r#"{"jsonrpc":"2.0","method":"ready"}"#;

/// A conversation with an instance.
pub(super) struct Talk {
    reader: BufReader<Box<dyn AsyncRead + Send + Unpin>>,
    writer: Box<dyn AsyncWrite + Send + Unpin>,
}

impl Suite<'_> {
    /// Checks a backend that starts programs.
    pub(super) async fn programs(&self) {
        self.streams_have_one_holder().await;
        self.exits_are_reported().await;
        self.stubborn_programs_are_killed().await;
        self.logs_are_kept().await;
        self.refreshes_reach_files().await;
        self.failed_starts_are_reported().await;
    }

    async fn started(&self, case: &Case) -> (Talk, Instance) {
        let mut instance = self.start(case).await.expect("it starts");
        let talk = Talk::with(&mut instance).expect("a program on standard streams is a stream");
        (talk, instance)
    }

    async fn streams_have_one_holder(&self) {
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

    async fn exits_are_reported(&self) {
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

    async fn stubborn_programs_are_killed(&self) {
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

    async fn refreshes_reach_files(&self) {
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

    async fn failed_starts_are_reported(&self) {
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
    /// Takes over the streams of an instance; `None` if it is reached over HTTP.
    pub(super) fn with(instance: &mut Instance) -> Option<Self> {
        let gone = Endpoint::Stream {
            reader: Box::new(tokio::io::empty()),
            writer: Box::new(tokio::io::sink()),
        };
        match std::mem::replace(&mut instance.endpoint, gone) {
            Endpoint::Stream { reader, writer } => {
                let reader = BufReader::new(reader);
                Some(Self { reader, writer })
            }
            http @ Endpoint::Http { .. } => {
                instance.endpoint = http;
                None
            }
        }
    }

    pub(super) async fn say(&mut self, line: &str) -> String {
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
