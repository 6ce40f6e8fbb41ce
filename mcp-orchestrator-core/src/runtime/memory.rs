//! A backend that runs instances as futures in this process, for tests and examples. It fulfils the backend contract
//! without starting any program.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use parking_lot::Mutex;
use tokio::io::{AsyncWrite, DuplexStream};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::status_broadcast::StatusBroadcast;
use super::stdin::Input;
use super::{
    BoxedIo, Description, Endpoint, Exit, Instance, InstanceEvent, InstanceKey, InstanceStatus,
    LaunchSpec, LogBook, LogLine, LogOptions, Phase, Progress, RuntimeBackend,
};
use crate::credential::Credential;
use crate::error::{Error, ErrorKind, Result};

/// Buffer size of each direction of a pipe, in bytes.
const PIPE_BYTES: usize = 64 << 10;

type Serve = dyn Fn(&InstanceKey, &LaunchSpec, BoxedIo) -> BoxFuture<'static, Exit> + Send + Sync;

/// Runs each instance as a future that exchanges lines over an in-memory pipe.
///
/// The future's output is the exit of the instance. A future that does not finish within the grace period is dropped.
/// The credential is fixed at launch: `refresh` has no effect.
///
/// # Example
/// ```
/// use mcp_orchestrator_core::runtime::{Exit, MemoryBackend};
///
/// // A server that sends back what it reads.
/// let backend = MemoryBackend::new(|_key, _launch, pipe| async move {
///     let (mut reader, mut writer) = tokio::io::split(pipe);
///     match tokio::io::copy(&mut reader, &mut writer).await {
///         Ok(_) => Exit::status(0),
///         Err(_) => Exit::status(1),
///     }
/// });
/// # drop(backend);
/// ```
pub struct MemoryBackend {
    serve: Box<Serve>,
    shared: Arc<Shared>,
    tasks: TaskTracker,
}

struct Shared {
    runs: Mutex<HashMap<InstanceKey, Arc<Run>>>,
    statuses: Arc<StatusBroadcast>,
    book: LogBook,
}

/// An instance that is running or stopping.
struct Run {
    input: Input<DuplexStream>,
    end: watch::Sender<Option<Duration>>,
    exit: watch::Sender<Option<Exit>>,
}

// === impl MemoryBackend ===

impl MemoryBackend {
    /// Creates a backend that calls `serve` for each instance and runs the returned future, which owns its end of the
    /// pipe.
    pub fn new<S, F>(serve: S) -> Self
    where
        S: Fn(&InstanceKey, &LaunchSpec, BoxedIo) -> F + Send + Sync + 'static,
        F: Future<Output = Exit> + Send + 'static,
    {
        Self::with_log_book(LogBook::default(), serve)
    }

    /// Like [`new`](Self::new), with a log book that the servers write to as well.
    pub fn with_log_book<S, F>(book: LogBook, serve: S) -> Self
    where
        S: Fn(&InstanceKey, &LaunchSpec, BoxedIo) -> F + Send + Sync + 'static,
        F: Future<Output = Exit> + Send + 'static,
    {
        Self {
            serve: Box::new(move |key, launch, pipe| serve(key, launch, pipe).boxed()),
            shared: Arc::new(Shared {
                runs: Mutex::default(),
                statuses: StatusBroadcast::new(),
                book,
            }),
            tasks: TaskTracker::new(),
        }
    }

    /// Creates a new instance, or returns the existing run of this key.
    fn enter(&self, key: &InstanceKey, launch: &LaunchSpec) -> Result<Instance, Arc<Run>> {
        let mut runs = self.shared.runs.lock();
        if let Some(run) = runs.get(key) {
            return Err(Arc::clone(run));
        }
        let (input, from_us) = tokio::io::duplex(PIPE_BYTES);
        let (output, to_us) = tokio::io::duplex(PIPE_BYTES);
        let run = Arc::new(Run {
            input: Input::new(Some(input)),
            end: watch::Sender::new(None),
            exit: watch::Sender::new(None),
        });
        runs.insert(key.clone(), Arc::clone(&run));
        self.shared.book.hide(key, launch);
        self.shared.book.begin(key);
        self.shared.tell(key, Phase::Running, None);
        let pipe = Box::new(tokio::io::join(from_us, to_us));
        let server = (self.serve)(key, launch, pipe);
        let (shared, key) = (Arc::clone(&self.shared), key.clone());
        let exited = run.exited();
        let grace = launch.server.limits.stop_grace;
        let writer = run.writer(grace);
        self.tasks.spawn(run.supervise(server, shared, key));
        Ok(Instance {
            endpoint: Endpoint::Stream {
                reader: Box::new(output),
                writer,
            },
            fresh: true,
            exited,
        })
    }
}

#[async_trait]
impl RuntimeBackend for MemoryBackend {
    async fn start(
        &self,
        key: &InstanceKey,
        launch: &LaunchSpec,
        _progress: &Progress,
    ) -> Result<Instance> {
        loop {
            let run = match self.enter(key, launch) {
                Ok(instance) => return Ok(instance),
                Err(run) => run,
            };
            if run.end.borrow().is_none() && run.exit.borrow().is_none() {
                let message = format!("instance {key} has a connection already");
                return Err(Error::new(ErrorKind::Conflict, message)
                    .with_server(key.server())
                    .with_instance(key));
            }
            run.exited().await;
        }
    }

    async fn stop(&self, key: &InstanceKey, grace: Duration) -> Result<()> {
        let run = self.shared.runs.lock().get(key).cloned();
        if let Some(run) = run {
            run.ask(grace);
            run.exited().await;
        }
        Ok(())
    }

    async fn remove(&self, key: &InstanceKey, grace: Duration) -> Result<()> {
        self.stop(key, grace).await?;
        let runs = self.shared.runs.lock();
        if !runs.contains_key(key) {
            self.shared.statuses.forget(key);
            self.shared.book.forget(key);
        }
        Ok(())
    }

    async fn refresh(&self, _key: &InstanceKey, _credential: &Credential) -> Result<()> {
        Ok(())
    }

    fn watch(&self) -> BoxStream<'static, Result<InstanceEvent>> {
        self.shared.statuses.watch()
    }

    async fn logs(
        &self,
        key: &InstanceKey,
        options: LogOptions,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        self.shared.book.read(key, &options)
    }

    async fn describe(&self, key: &InstanceKey) -> Result<Description> {
        Description::from_watch(self.watch(), key).await
    }

    async fn leave(&self, key: &InstanceKey, grace: Duration) -> Result<()> {
        self.stop(key, grace).await
    }
}

impl fmt::Debug for MemoryBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBackend")
            .field("live", &self.shared.runs.lock().keys())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for MemoryBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory")
    }
}

impl Drop for MemoryBackend {
    fn drop(&mut self) {
        for run in self.shared.runs.lock().values() {
            run.ask(Duration::ZERO);
        }
    }
}

// === impl Shared ===

impl Shared {
    fn tell(&self, key: &InstanceKey, phase: Phase, reason: Option<String>) {
        self.statuses.set(InstanceStatus {
            key: key.clone(),
            phase,
            reason,
            since: SystemTime::now(),
            place: Vec::new(),
        });
    }
}

// === impl Run ===

impl Run {
    fn writer(self: &Arc<Self>, grace: Duration) -> Box<dyn AsyncWrite + Send + Unpin> {
        let run = Arc::clone(self);
        Box::new(self.input.writer(move || run.ask(grace)))
    }

    fn ask(&self, grace: Duration) {
        self.end
            .send_modify(|end| *end = Some(end.map_or(grace, |end| end.min(grace))));
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

    async fn supervise(
        self: Arc<Self>,
        mut server: BoxFuture<'static, Exit>,
        shared: Arc<Shared>,
        key: InstanceKey,
    ) {
        let asked = async {
            // Never fails: `self` holds the sender.
            let _ = self.end.subscribe().wait_for(Option::is_some).await;
        };
        let (mut exit, wanted) = tokio::select! {
            biased;
            exit = &mut server => (exit, false),
            () = asked => (self.ended(&mut server).await, true),
        };
        drop(server);
        if exit.tail.is_empty() {
            exit.tail = shared.book.tail(&key, 20);
        }
        {
            let mut runs = shared.runs.lock();
            runs.remove(&key);
            // The holder often notices a failure first and closes the connection, so a nonzero code counts even after
            // a stop.
            let failed = !wanted || exit.code.is_some_and(|code| code != 0);
            let phase = if failed {
                Phase::Failed
            } else {
                Phase::Resting
            };
            shared.tell(&key, phase, Some(exit.reason.clone()));
        }
        self.exit.send_replace(Some(exit));
    }

    /// Waits for the server to finish by itself, up to the grace period, which a later stop may shorten.
    async fn ended(&self, server: &mut BoxFuture<'static, Exit>) -> Exit {
        self.input.close();
        let began = tokio::time::Instant::now();
        let mut end = self.end.subscribe();
        loop {
            let grace = end.borrow_and_update().unwrap_or_default();
            tokio::select! {
                exit = &mut *server => return exit,
                () = tokio::time::sleep_until(began + grace) => {
                    return Exit { reason: "dropped after its grace".to_owned(), ..Exit::default() };
                }
                Ok(()) = end.changed() => {}
            }
        }
    }
}

#[cfg(test)]
#[cfg(feature = "test-util")]
pub(super) mod tests;
