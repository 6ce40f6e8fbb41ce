//! The contract suite of [`RuntimeBackend`].
//!
//! A fixture defines how the backend runs the few [`Script`]s that the suite needs; everything else is the same for
//! processes, pods, futures and remote servers. The suite waits for events, for at most [`CONTRACT_TIMEOUT`], which is
//! long enough for a pod.

mod case;
mod programs;

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;

pub use self::case::{CONTRACT_TIMEOUT, Fixture, Script};
use self::case::{Suite, next, soon, until};
use self::programs::Talk;
use crate::credential::Credential;
use crate::error::ErrorKind;
use crate::runtime::{
    Endpoint, Instance, InstanceEvent, InstanceStatus, LogOptions, Phase, Progress, RuntimeBackend,
};

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

impl Suite<'_> {
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
