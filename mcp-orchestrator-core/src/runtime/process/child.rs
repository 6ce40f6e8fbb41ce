//! One run of an instance, shared by its starters, its holder and its supervisor.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::Uri;
use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::watch;

use super::secrets::Secrets;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::stdin::Input;
use crate::runtime::{Connect, Endpoint, Exit, Instance, InstanceKey, LaunchSpec, Progress};

/// A run, from the decision to start it until nothing of it is left.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) key: InstanceKey,
    pub(super) launch: LaunchSpec,
    pub(super) secrets: Secrets,
    pub(super) signals: Arc<Signals>,
    /// The streams of a ready child, until a holder takes them.
    pipes: Mutex<Option<Pipes>>,
}

/// The channels between the parties of a run.
#[derive(Debug)]
pub(super) struct Signals {
    pub(super) stage: watch::Sender<Stage>,
    pub(super) end: watch::Sender<Option<End>>,
    pub(super) exit: watch::Sender<Option<Exit>>,
}

/// The progress of a run.
#[derive(Clone, Debug)]
pub(super) enum Stage {
    /// Starting, with what it waits for.
    Starting(&'static str),
    Ready(Reach),
    Ending,
    /// Ended, with the error for callers that waited for the start.
    Over(Arc<Error>),
}

/// How to reach a ready child.
#[derive(Clone, Debug)]
pub(super) enum Reach {
    Stream,
    Http { uri: Uri, connect: Arc<dyn Connect> },
}

/// A request to end the run.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) grace: Duration,
    pub(super) why: Why,
}

/// Why a run is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Stopped,
    /// The holder dropped the connection, possibly because the child has just died.
    LetGo,
    BackendDropped,
    BadPath,
}

/// The two ends of a connection.
struct Pipes {
    reader: ChildStdout,
    writer: Box<dyn AsyncWrite + Send + Unpin>,
}

/// The outcome of joining a run.
pub(super) enum Joined {
    Instance(Instance),
    /// The existing run has ended; a new one may begin.
    Again,
}

// === impl Live ===

impl Live {
    pub(super) fn new(key: InstanceKey, launch: LaunchSpec, secrets: Secrets) -> Self {
        let signals = Signals {
            stage: watch::Sender::new(Stage::Starting("starting the process")),
            end: watch::Sender::new(None),
            exit: watch::Sender::new(None),
        };
        Self {
            key,
            launch,
            secrets,
            signals: Arc::new(signals),
            pipes: Mutex::new(None),
        }
    }

    /// Keeps the streams for the first starter and marks the run as ready.
    pub(super) fn ready_on(&self, stdin: &Input<ChildStdin>, reader: ChildStdout) {
        let signals = Arc::clone(&self.signals);
        let grace = self.launch.server.limits.stop_grace;
        let writer = Box::new(stdin.writer(move || signals.ask(grace, Why::LetGo)));
        *self.pipes() = Some(Pipes { reader, writer });
        self.signals.advance(Stage::Ready(Reach::Stream));
    }

    /// Waits until the instance accepts connections or the run has ended.
    pub(super) async fn join(&self, created: bool, progress: &Progress) -> Result<Joined> {
        let mut stage = self.signals.stage.subscribe();
        let mut waited = created;
        loop {
            let now = stage.borrow_and_update().clone();
            match now {
                Stage::Starting(what) => {
                    progress.report(what);
                    waited = true;
                }
                // Its holder has let it go, and its supervisor has not noticed yet.
                Stage::Ready(Reach::Stream) if self.is_left() => {
                    progress.report("waiting for the process before it to end");
                }
                Stage::Ready(reach) => return self.instance(reach, created).map(Joined::Instance),
                Stage::Ending => progress.report("waiting for the process before it to end"),
                // The child may end before its starter gets here; its remaining output is worth more than an error.
                Stage::Over(error) if waited => match self.claim() {
                    Some(instance) => return Ok(Joined::Instance(instance)),
                    None => return Err(error.duplicate()),
                },
                Stage::Over(_) => return Ok(Joined::Again),
            }
            if stage.changed().await.is_err() {
                return Ok(Joined::Again);
            }
        }
    }

    /// Returns `true` if the streams were taken and the end of the run was requested.
    fn is_left(&self) -> bool {
        self.pipes().is_none() && self.signals.end.borrow().is_some()
    }

    /// Waits until the run has ended.
    pub(super) async fn over(&self) {
        let mut stage = self.signals.stage.subscribe();
        // Never fails: `self` holds the sender.
        let _ = stage
            .wait_for(|stage| matches!(stage, Stage::Over(_)))
            .await;
    }

    fn instance(&self, reach: Reach, created: bool) -> Result<Instance> {
        match reach {
            Reach::Stream => self.claim().ok_or_else(|| {
                let message = format!("instance {} has a connection already", self.key);
                Error::new(ErrorKind::Conflict, message)
                    .with_server(self.key.server())
                    .with_instance(&self.key)
            }),
            Reach::Http { uri, connect } => Ok(Instance {
                endpoint: Endpoint::Http {
                    uri,
                    connect,
                    headers: self.secrets.headers(),
                },
                fresh: created,
                exited: self.signals.exited(),
            }),
        }
    }

    /// Takes the streams if no holder has; the instance is fresh to the caller.
    fn claim(&self) -> Option<Instance> {
        let Pipes { reader, writer } = self.pipes().take()?;
        let reader = Box::new(reader);
        Some(Instance {
            endpoint: Endpoint::Stream { reader, writer },
            fresh: true,
            exited: self.signals.exited(),
        })
    }

    fn pipes(&self) -> parking_lot::MutexGuard<'_, Option<Pipes>> {
        self.pipes.lock()
    }
}

// === impl Signals ===

impl Signals {
    /// Requests the end of the run. The shortest grace period of all requests applies, with the reason of the first
    /// one.
    pub(super) fn ask(&self, grace: Duration, why: Why) {
        self.end.send_modify(|end| match end {
            None => *end = Some(End { grace, why }),
            Some(end) => end.grace = end.grace.min(grace),
        });
        self.advance(Stage::Ending);
    }

    /// Advances to this stage; never goes back.
    pub(super) fn advance(&self, to: Stage) {
        self.stage.send_if_modified(|stage| {
            let later = to.rank() > stage.rank();
            if later {
                *stage = to;
            }
            later
        });
    }

    /// Waits until the end is requested.
    pub(super) async fn asked(&self) {
        // Never fails: `self` holds the sender.
        let _ = self.end.subscribe().wait_for(Option::is_some).await;
    }

    /// Waits for `future` for at most the grace period of the end request, or `otherwise` if no end is requested.
    pub(super) async fn within_grace<F: Future>(
        &self,
        otherwise: Duration,
        future: F,
    ) -> Option<F::Output> {
        let began = tokio::time::Instant::now();
        let mut end = self.end.subscribe();
        tokio::pin!(future);
        loop {
            let grace = end.borrow_and_update().map_or(otherwise, |end| end.grace);
            tokio::select! {
                biased;
                output = &mut future => return Some(output),
                () = tokio::time::sleep_until(began + grace) => return None,
                Ok(()) = end.changed() => {}
            }
        }
    }

    fn exited(&self) -> BoxFuture<'static, Exit> {
        let mut exit = self.exit.subscribe();
        async move {
            match exit.wait_for(Option::is_some).await {
                Ok(exit) => exit.clone().unwrap_or_default(),
                Err(_) => Exit::default(),
            }
        }
        .boxed()
    }
}

// === impl Stage ===

impl Stage {
    fn rank(&self) -> u8 {
        match self {
            Self::Starting(_) => 0,
            Self::Ready(_) => 1,
            Self::Ending => 2,
            Self::Over(_) => 3,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopped => "stopped",
            Self::LetGo => "its connection was closed",
            Self::BackendDropped => "the orchestrator has ended",
            Self::BadPath => "its path makes no valid address",
        })
    }
}

impl fmt::Debug for Pipes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pipes")
    }
}
