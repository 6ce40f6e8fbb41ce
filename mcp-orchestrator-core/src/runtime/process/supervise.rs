//! The task that owns one child: waits until it is ready, waits for its end or ends it on request, and cleans up.

use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::process::ChildStdin;
use tokio::task::JoinHandle;

use super::Shared;
use super::child::{Live, Reach, Stage, Why};
use super::http::{Answering, ChildConnect};
use super::output::{exit, read_lines};
use super::running::Ending;
use super::spawn::RunningChild;
use crate::error::{Error, ErrorKind};
use crate::runtime::advice;
use crate::runtime::stdin::Input;
use crate::runtime::{Exit, InstanceStatus, LogSource, Phase};
use crate::server::{Launch, PortOwner, ProgramTransport};

/// How long to read the remaining output of a child that has ended: a grandchild may hold its standard error forever.
const LAST_WORDS: Duration = Duration::from_millis(250);
/// Grace period for processes that a child leaves behind.
const LEFTOVER_GRACE: Duration = Duration::from_secs(1);
/// How long to wait for killed processes to disappear.
const KILL_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs an instance from start to end.
pub(super) async fn supervise(shared: Arc<Shared>, live: Arc<Live>) {
    let mut closing = Closing {
        shared,
        live,
        over: None,
    };
    let (shared, live) = (&closing.shared, &closing.live);
    let over = match RunningChild::new(shared, live).await {
        Ok(placed) => run(shared, live, placed).await,
        Err(error) => Over::failed(error.of(live.key.server())),
    };
    let secrets = live.secrets.clone();
    // Fails only if the runtime is shutting down; then the guard deletes the files.
    let _ = shared.tasks.spawn_blocking(move || secrets.close()).await;
    closing.over = Some(over);
}

/// Runs a started child to its end.
async fn run(shared: &Shared, live: &Live, mut placed: RunningChild) -> Over {
    let streams = &mut placed.streams;
    let stdin = Input::new(streams.stdin.take());
    let (stdout, stderr) = (streams.stdout.take(), streams.stderr.take());
    let mut readers = Vec::new();
    let mut read = |from: Box<dyn tokio::io::AsyncRead + Send + Unpin>, source| {
        let book = shared.book.clone();
        let lines = read_lines(from, live.key.clone(), source, book);
        readers.push(shared.tasks.spawn(lines));
    };
    if let Some(stderr) = stderr {
        read(Box::new(stderr), LogSource::Stderr);
    }
    if let Some(stdout) = stdout {
        if placed.port.is_some() {
            read(Box::new(stdout), LogSource::Stdout);
        } else {
            live.ready_on(&stdin, stdout);
        }
    }
    let place = place(&placed);
    let tell = |phase| {
        shared
            .statuses
            .set(status(live, phase, None, place.clone()));
    };
    tell(Phase::Starting);
    let ready = ready(live, &mut placed).await;
    if ready {
        tracing::info!(pid = placed.pid, "started");
        tell(Phase::Running);
    }
    let (status, wanted) = ended(live, &mut placed, &stdin).await;
    stdin.close();
    drain(&mut readers).await;
    let exit = exit(status, &live.key, &shared.book);
    let over = Over::new(live, &exit, wanted, ready);
    tracing::info!(pid = placed.pid, reason = %exit.reason, "ended");
    live.signals.advance(Stage::Ending);
    live.signals.exit.send_replace(Some(exit));
    sweep(live, &mut placed).await;
    shared.guard.strike(placed.listed).await;
    for reader in readers {
        reader.abort();
    }
    over
}

/// Waits until the child accepts connections. Returns `false` if it ends first or is asked to end.
async fn ready(live: &Live, placed: &mut RunningChild) -> bool {
    let Some(port) = &placed.port else {
        return true;
    };
    let waiting = "waiting for the process to listen on its port";
    live.signals.stage.send_if_modified(|stage| match stage {
        Stage::Starting(what) => {
            *what = waiting;
            true
        }
        _ => false,
    });
    let (path, owner) = match &live.launch.server.launch {
        Launch::Program(program) => match &program.transport {
            ProgramTransport::Http { path, owner, .. } => (path.as_str(), *owner),
            ProgramTransport::Stdio => ("", PortOwner::Server),
        },
        Launch::Remote(_) => ("", PortOwner::Server),
    };
    let answering = Answering::new(owner, placed.running.roots());
    let foreign = |error: &std::io::Error| foreign(live, error);
    let address = tokio::select! {
        address = port.accepts(&answering, foreign) => address,
        _ = placed.running.wait() => return false,
        () = live.signals.asked() => return false,
    };
    let slash = if path.starts_with('/') { "" } else { "/" };
    let Ok(uri) = format!("http://{address}{slash}{path}").parse() else {
        let grace = live.launch.server.limits.stop_grace;
        live.signals.ask(grace, Why::BadPath);
        return false;
    };
    let connect = Arc::new(ChildConnect::new(address, answering));
    live.signals
        .advance(Stage::Ready(Reach::Http { uri, connect }));
    true
}

/// Logs, once, that another process answers on the child's port.
fn foreign(live: &Live, error: &std::io::Error) {
    let waiting = "waiting for the process to listen on its port, on which another process answers";
    let new = live.signals.stage.send_if_modified(|stage| match stage {
        Stage::Starting(what) if *what != waiting => {
            *what = waiting;
            true
        }
        _ => false,
    });
    if new {
        tracing::warn!(%error, "another process answers on the port of this server");
    }
}

/// Waits for the end of the child, or ends it on request: closes its input, then sends SIGTERM, then SIGKILL, each
/// after the grace period. Also returns why the end was requested, if it was.
async fn ended(
    live: &Live,
    placed: &mut RunningChild,
    stdin: &Input<ChildStdin>,
) -> (Option<ExitStatus>, Option<Why>) {
    let (running, signals) = (&mut placed.running, &live.signals);
    tokio::select! {
        biased;
        status = running.wait() => return (status, None),
        () = signals.asked() => {}
    }
    let why = signals.end.borrow().map(|end| end.why);
    stdin.close();
    if let Some(status) = signals.within_grace(Duration::ZERO, running.wait()).await {
        let failed = status.is_some_and(|status| !status.success());
        // The holder often notices the child's death first and closes the connection.
        return (status, why.filter(|why| !(failed && *why == Why::LetGo)));
    }
    running.signal(Ending::Terminate);
    if let Some(status) = signals.within_grace(Duration::ZERO, running.wait()).await {
        return (status, why);
    }
    running.signal(Ending::Kill);
    (running.wait().await, why)
}

/// Ends the processes that a finished child has left behind.
async fn sweep(live: &Live, placed: &mut RunningChild) {
    let running = &mut placed.running;
    if running.is_empty() {
        return;
    }
    running.signal(Ending::Terminate);
    let emptied = live
        .signals
        .within_grace(LEFTOVER_GRACE, running.emptied())
        .await;
    if emptied.is_none() {
        running.signal(Ending::Kill);
        // What is still listed after that is a zombie that its parent has not reaped.
        let _ = tokio::time::timeout(KILL_TIMEOUT, running.emptied()).await;
    }
}

/// Reads the remaining output of a child that has ended.
async fn drain(readers: &mut [JoinHandle<()>]) {
    let all = futures_util::future::join_all(readers.iter_mut());
    // If a pipe is still open, a grandchild holds it; its output is not waited for.
    let _ = tokio::time::timeout(LAST_WORDS, all).await;
}

fn place(placed: &RunningChild) -> Vec<(&'static str, String)> {
    let mut place = vec![("pid", placed.pid.to_string())];
    if let Some(port) = &placed.port {
        place.push(("port", port.number().to_string()));
    }
    place
}

fn status(
    live: &Live,
    phase: Phase,
    reason: Option<String>,
    place: Vec<(&'static str, String)>,
) -> InstanceStatus {
    InstanceStatus {
        key: live.key.clone(),
        phase,
        reason,
        since: SystemTime::now(),
        place,
    }
}

/// How a run ended, for status and errors.
struct Over {
    /// The error for callers that still wait for the start.
    error: Error,
    phase: Phase,
    reason: String,
}

impl Over {
    /// The child could not be started.
    fn failed(error: Error) -> Self {
        Self {
            reason: error.to_string(),
            phase: Phase::Failed,
            error,
        }
    }

    /// The child was started and has ended.
    fn new(live: &Live, exit: &Exit, wanted: Option<Why>, ready: bool) -> Self {
        let server = live.key.server();
        let (phase, reason) = match wanted {
            Some(why) => (Phase::Resting, why.to_string()),
            None => (Phase::Failed, exit.reason.clone()),
        };
        let mut message = match (wanted, ready) {
            (Some(why), _) => format!("server {server} was stopped while it started: {why}"),
            (None, true) => format!("server {server} exited at once ({reason})"),
            (None, false) => {
                format!("server {server} exited before it listened on its port ({reason})")
            }
        };
        if !exit.tail.is_empty() {
            message = format!("{message}; last output: {}", exit.tail.join("\n"));
        }
        if let Some(advice) = advice::on_exit(exit.code.map(i64::from), &exit.tail) {
            message = format!("{message}; {advice}");
        }
        let error = Error::new(ErrorKind::StartFailed, message)
            .with_server(server)
            .with_instance(&live.key);
        Self {
            error,
            phase,
            reason,
        }
    }
}

/// Reports the end of the run to all waiters, even if its task is dropped.
struct Closing {
    shared: Arc<Shared>,
    live: Arc<Live>,
    over: Option<Over>,
}

impl Drop for Closing {
    fn drop(&mut self) {
        let (live, signals) = (&self.live, &self.live.signals);
        let over = self.over.take().unwrap_or_else(|| {
            let error = Error::new(ErrorKind::Unavailable, "the backend is closed");
            Over::failed(error.with_server(live.key.server()))
        });
        let status = status(live, over.phase, Some(over.reason.clone()), Vec::new());
        self.shared.leave(live, status);
        signals.exit.send_if_modified(|exit| {
            let untold = exit.is_none();
            if untold {
                *exit = Some(Exit {
                    reason: over.reason,
                    ..Exit::default()
                });
            }
            untold
        });
        signals.advance(Stage::Over(Arc::new(over.error)));
    }
}
