//! Runs instances as child processes of this process. Nothing needs to be installed or set up.
//!
//! No child outlives this process, even if it is killed. If the host program supports it, each child runs under a
//! keeper, which ends all descendants of the child (see [`keeper`](mod@keeper)); otherwise the child has its own
//! process group. In both cases a guard process ends the groups that this process leaves behind (see [`reaper`]).
//!
//! One task owns each child from its start to its end (see [`supervise`]). Everything else only sends messages to
//! that task, so every future here may be dropped at any time.

mod child;
#[cfg(target_os = "linux")]
mod connection_owner;
mod group;
mod http;
#[cfg(target_os = "linux")]
mod keeper;
#[cfg(not(target_os = "linux"))]
#[path = "no_keeper.rs"]
mod keeper;
mod output;
#[cfg(target_os = "linux")]
mod process_tree;
mod reaper;
mod running;
mod secrets;
mod spawn;
mod streams;
mod supervise;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use self::child::{Joined, Live, Why};
use self::http::Ports;
pub use self::keeper::keeper;
use self::reaper::Guard;
use self::secrets::Secrets;
use super::status_broadcast::StatusBroadcast;
use super::{
    Description, Instance, InstanceEvent, InstanceKey, InstanceStatus, LaunchSpec, LogBook,
    LogLine, LogOptions, Phase, Progress, RuntimeBackend,
};
use crate::credential::Credential;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::MAX_STARTS;

/// Grace period of the children when the backend is dropped.
const DROP_GRACE: Duration = Duration::from_millis(500);
/// How long a stop waits for killed processes to disappear before it fails.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs instances as child processes. Unix only; needs `/bin/sh`.
///
/// - A child inherits PATH, HOME, USER, LOGNAME, LANG, SHELL, TERM and TMPDIR, the usual proxy and CA certificate
///   variables, and the variables that its spec names. In addition it gets the variables of its spec and its
///   credential, and nothing else.
/// - When the program that was started ends, the instance ends, and what the program left behind is ended too. On
///   Linux, in a host program that calls [`keeper`](super::keeper) first, this covers all descendants; otherwise it
///   covers the program's process group, and descendants with a parent that still runs when the instance is stopped.
/// - A child does not write core files.
/// - Dropping the writer of an [`Endpoint::Stream`](super::Endpoint::Stream) ends the child, after the server's
///   `stop_grace`.
/// - Dropping the backend, or the end of this process, ends every child. The status and the log are kept until
///   `remove`.
///
/// The backend belongs to the tokio runtime in which it is first used.
pub struct ProcessBackend(Arc<Shared>);

/// Describes the process that listens on a local address, such as `process 7 (node)`. Returns `None` if that is
/// unknown: there is no listener, it belongs to another user, or the system does not provide the information.
pub fn port_holder(address: std::net::SocketAddr) -> Option<String> {
    #[cfg(target_os = "linux")]
    {
        connection_owner::listener(address)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = address;
        None
    }
}

/// State shared by the tasks of a backend.
struct Shared {
    /// The parent directory of the file slots of this backend's instances.
    folder: PathBuf,
    /// The instances that are starting, running or stopping.
    live: Mutex<HashMap<InstanceKey, Arc<Live>>>,
    statuses: Arc<StatusBroadcast>,
    book: LogBook,
    guard: Guard,
    ports: Ports,
    /// Limits concurrent starts.
    starts: Semaphore,
    tasks: TaskTracker,
    closing: CancellationToken,
}

// === impl ProcessBackend ===

impl ProcessBackend {
    /// Creates a backend that keeps secret files in a new folder below `directory`; both are created when they are
    /// first needed.
    pub fn new(directory: impl AsRef<Path>) -> Self {
        Self::with_log_book(directory, LogBook::default())
    }

    /// Like [`new`](Self::new), with this log book for the instances' output.
    pub fn with_log_book(directory: impl AsRef<Path>, book: LogBook) -> Self {
        let directory = directory.as_ref();
        let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
        let folder = absolute.join(format!("processes-{}", crate::seal::random_text(12)));
        Self(Arc::new(Shared {
            guard: Guard::new(folder.clone()),
            folder,
            live: Mutex::default(),
            statuses: StatusBroadcast::new(),
            book,
            ports: Ports::default(),
            starts: Semaphore::new(MAX_STARTS),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
        }))
    }

    /// Returns the log book of the instances; others may add to it.
    pub fn log_book(&self) -> &LogBook {
        &self.0.book
    }
}

#[async_trait]
impl RuntimeBackend for ProcessBackend {
    async fn start(
        &self,
        key: &InstanceKey,
        launch: &LaunchSpec,
        progress: &Progress,
    ) -> Result<Instance> {
        loop {
            let (live, created) = self.0.enter(key, launch);
            match live.join(created, progress).await? {
                Joined::Instance(instance) => return Ok(instance),
                Joined::Again => {}
            }
        }
    }

    async fn stop(&self, key: &InstanceKey, grace: Duration) -> Result<()> {
        let Some(live) = self.0.find(key) else {
            return Ok(());
        };
        live.signals.ask(grace, Why::Stopped);
        let patience = grace.saturating_mul(4).saturating_add(STOP_TIMEOUT);
        let over = tokio::time::timeout(patience, live.over()).await;
        over.map_err(|_| {
            let message = format!("instance {key} was killed and still runs");
            Error::new(ErrorKind::Unavailable, message)
                .with_server(key.server())
                .with_instance(key)
        })
    }

    async fn remove(&self, key: &InstanceKey, grace: Duration) -> Result<()> {
        self.stop(key, grace).await?;
        self.0.forget(key);
        Ok(())
    }

    async fn refresh(&self, key: &InstanceKey, credential: &Credential) -> Result<()> {
        let Some(live) = self.0.find(key) else {
            return Ok(());
        };
        let launch = LaunchSpec {
            server: Arc::clone(&live.launch.server),
            credential: Arc::new(credential.clone()),
        };
        self.0.book.hide(key, &launch);
        let (secrets, credential) = (live.secrets.clone(), credential.clone());
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| {
            Error::new(
                ErrorKind::Unavailable,
                "the newer credential did not reach the instance",
            )
            .with_server(key.server())
            .with_instance(key)
            .with_source(source)
        };
        let work = self
            .0
            .tasks
            .spawn_blocking(move || secrets.write(&credential));
        let written = work.await.map_err(|error| failed(error.into()))?;
        written.map_err(|error| failed(error.into()))
    }

    fn watch(&self) -> BoxStream<'static, Result<InstanceEvent>> {
        self.0.statuses.watch()
    }

    async fn logs(
        &self,
        key: &InstanceKey,
        options: LogOptions,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        self.0.book.read(key, &options)
    }

    async fn describe(&self, key: &InstanceKey) -> Result<Description> {
        let mut description = Description::from_watch(self.watch(), key).await?;
        let place = &description.status.place;
        if let Some((_, pid)) = place.iter().find(|(name, _)| *name == "pid") {
            let lines = [
                ("its process", format!("ps -fp {pid}")),
                ("its files and connections", format!("lsof -p {pid}")),
            ];
            let lines = lines.map(|(what, line)| (what.to_owned(), line));
            description.commands.extend(lines);
        }
        Ok(description)
    }

    async fn leave(&self, key: &InstanceKey, grace: Duration) -> Result<()> {
        self.stop(key, grace).await
    }
}

impl fmt::Debug for ProcessBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessBackend")
            .field("folder", &self.0.folder)
            .field("live", &self.0.live.lock().keys())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for ProcessBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("process")
    }
}

impl Drop for ProcessBackend {
    fn drop(&mut self) {
        for live in self.0.live.lock().values() {
            live.signals.ask(DROP_GRACE, Why::BackendDropped);
        }
        // The guard reads end-of-file, ends the remaining groups, and deletes the folder of secret files.
        self.0.closing.cancel();
        self.0.tasks.close();
    }
}

// === impl Shared ===

impl Shared {
    /// Returns the run of this instance, and `true` if this call created it.
    fn enter(self: &Arc<Self>, key: &InstanceKey, launch: &LaunchSpec) -> (Arc<Live>, bool) {
        let mut all = self.live.lock();
        if let Some(live) = all.get(key) {
            return (Arc::clone(live), false);
        }
        let secrets = Secrets::new(Arc::clone(&launch.server), self.folder.join(key.name()));
        let live = Arc::new(Live::new(key.clone(), launch.clone(), secrets));
        all.insert(key.clone(), Arc::clone(&live));
        self.book.hide(key, launch);
        self.book.begin(key);
        self.statuses.set(InstanceStatus {
            key: key.clone(),
            phase: Phase::Starting,
            reason: None,
            since: SystemTime::now(),
            place: Vec::new(),
        });
        let run = supervise::supervise(Arc::clone(self), Arc::clone(&live));
        let span = tracing::info_span!("instance", server.id = %key.server(), instance.name = %key);
        self.tasks.spawn(run.instrument(span));
        (live, true)
    }

    fn find(&self, key: &InstanceKey) -> Option<Arc<Live>> {
        self.live.lock().get(key).cloned()
    }

    /// Removes a finished run and reports the status of its instance.
    fn leave(&self, live: &Arc<Live>, status: InstanceStatus) {
        let mut all = self.live.lock();
        all.remove(&live.key);
        self.statuses.set(status);
    }

    /// Forgets an instance, unless it is running again.
    fn forget(&self, key: &InstanceKey) {
        let all = self.live.lock();
        if !all.contains_key(key) {
            self.statuses.forget(key);
            self.book.forget(key);
        }
    }
}
