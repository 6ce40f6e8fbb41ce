//! Runtime backends: where instances run.
//!
//! A backend starts programs and does not speak MCP. The pipes of a child process, an attached pod and an in-memory
//! pipe are all an [`Endpoint::Stream`]; message framing is implemented once, in `transport`.

pub(crate) mod advice;
mod backend_set;
mod describe;
mod exclusive;
mod key;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
mod logbook;
mod logs;
mod memory;
#[cfg(all(unix, feature = "process"))]
mod process;
mod redaction;
#[cfg(feature = "remote")]
mod remote;
mod status_broadcast;
mod stdin;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use http::Uri;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

pub use self::backend_set::BackendSet;
pub use self::describe::{Description, InstanceNote};
pub use self::key::{InstanceKey, Scope, SpecDigest};
pub use self::logbook::{LogBook, LogLimits};
pub use self::logs::{LogLine, LogOptions, LogSource};
pub use self::memory::MemoryBackend;
#[cfg(all(unix, feature = "process"))]
pub use self::process::{ProcessBackend, keeper, port_holder};
#[cfg(feature = "remote")]
pub use self::remote::RemoteBackend;
pub use self::status_broadcast::StatusBroadcast;
pub use crate::connect::{BoxedIo, Connect, HeaderCell, Io, TcpConnect};
use crate::credential::Credential;
use crate::error::Result;
use crate::server::ServerSpec;

/// Everything a backend needs to start an instance.
#[derive(Clone, Debug)]
pub struct LaunchSpec {
    /// The server to run.
    pub server: Arc<ServerSpec>,
    /// The values of the server's credential slots, and their owner.
    pub credential: Arc<Credential>,
}

/// A running instance.
pub struct Instance {
    /// How to reach the instance.
    pub endpoint: Endpoint,
    /// `true` if this call started the instance, `false` if it was already running and was adopted.
    pub fresh: bool,
    /// Resolves when the instance ends, for whatever reason. It may be polled late, or dropped.
    pub exited: BoxFuture<'static, Exit>,
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance")
            .field("endpoint", &self.endpoint)
            .field("fresh", &self.fresh)
            .finish_non_exhaustive()
    }
}

/// How an instance is reached.
pub enum Endpoint {
    /// A byte stream that carries one message per line. Dropping it closes the connection.
    Stream {
        /// The output of the instance.
        reader: Box<dyn AsyncRead + Send + Unpin>,
        /// The input of the instance.
        writer: Box<dyn AsyncWrite + Send + Unpin>,
    },
    /// An HTTP endpoint.
    Http {
        /// The URL. The path is significant; the host is used for the `Host` header only.
        uri: Uri,
        /// Opens connections to the instance.
        connect: Arc<dyn Connect>,
        /// The credential headers of the current generation, read for each request.
        headers: HeaderCell,
    },
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream { .. } => f.write_str("Stream"),
            Self::Http { uri, .. } => f.debug_tuple("Http").field(&uri.host()).finish(),
        }
    }
}

/// How an instance ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// A short human-readable reason, such as `exit status 3` or `OOMKilled`.
    pub reason: String,
    /// The program's exit status, if known.
    pub code: Option<i32>,
    /// The last lines of standard error, oldest first; bounded.
    pub tail: Vec<String>,
}

impl Exit {
    /// Describes a program that exited by itself with this status.
    pub fn status(code: i32) -> Self {
        Self {
            reason: format!("exit status {code}"),
            code: Some(code),
            tail: Vec::new(),
        }
    }
}

/// The lifecycle phase of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The instance is starting.
    Starting,
    /// The instance accepts calls.
    Running,
    /// The instance is stopped; everything needed to start it again is kept.
    Resting,
    /// The instance ended unexpectedly or could not start.
    Failed,
}

/// The status of one instance, as its backend reports it.
#[derive(Clone, Debug)]
pub struct InstanceStatus {
    /// The instance.
    pub key: InstanceKey,
    /// Its current phase.
    pub phase: Phase,
    /// Why it is in this phase, if there is a reason to report.
    pub reason: Option<String>,
    /// When it entered this phase.
    pub since: SystemTime,
    /// Where it runs, as label and value: `pid`, `pod`, `node`, `port`.
    pub place: Vec<(&'static str, String)>,
}

/// An item of [`RuntimeBackend::watch`].
#[derive(Clone, Debug)]
pub enum InstanceEvent {
    /// The current status of an instance.
    Is(InstanceStatus),
    /// The instance was removed.
    Gone(InstanceKey),
    /// Every instance that existed when the watch began has been reported.
    Synced,
}

/// Reports what a start is waiting for. Reporting never blocks, and only the latest message is kept.
#[derive(Clone, Debug)]
pub struct Progress {
    words: watch::Sender<Arc<str>>,
    /// Shared by all clones.
    ran_before: Arc<AtomicBool>,
}

impl Progress {
    /// Returns a `Progress` and a receiver of its messages.
    pub fn channel() -> (Self, watch::Receiver<Arc<str>>) {
        let (sender, receiver) = watch::channel("".into());
        let progress = Self {
            words: sender,
            ran_before: Arc::default(),
        };
        (progress, receiver)
    }

    /// Returns a `Progress` without a receiver.
    pub fn unheard() -> Self {
        Self::channel().0
    }

    /// Subscribes another receiver.
    pub fn subscribe(&self) -> watch::Receiver<Arc<str>> {
        self.words.subscribe()
    }

    /// Returns the latest message, or an empty string if there was none.
    pub fn last(&self) -> Arc<str> {
        Arc::clone(&self.words.borrow())
    }

    /// Records whether the instance was running before this start, as far as the backend knows.
    ///
    /// A backend that keeps instances beyond the end of the process sets this before its first fallible step. If the
    /// start then fails because the instance cannot be reached, an instance that was already running is left alone;
    /// any other is removed.
    pub fn set_ran_before(&self, ran_before: bool) {
        self.ran_before.store(ran_before, Ordering::Release);
    }

    /// Returns the value last set by [`set_ran_before`](Self::set_ran_before); initially `false`.
    pub fn ran_before(&self) -> bool {
        self.ran_before.load(Ordering::Acquire)
    }

    /// Reports what the start is waiting for, such as `pulling image`.
    pub fn report(&self, what: &str) {
        self.words.send_if_modified(|last| {
            let new = **last != *what;
            if new {
                *last = what.into();
            }
            new
        });
    }
}

/// Starts, stops and finds instances.
///
/// # Contract
/// An [`InstanceKey`] identifies one instance and never changes; instances with different keys share nothing. Methods
/// may be called at any time and concurrently. Dropping a future is safe: what it began is either undone, or reported
/// by `watch` and ended by `remove`. Every implementation runs the test suite in [`crate::testing::runtime`].
///
/// [`StatusBroadcast`] implements `watch`, [`Endpoint::exclusive`] gives a stream a single holder, and
/// [`Description::from_watch`] implements `describe` for a backend that has no more to say.
#[async_trait]
pub trait RuntimeBackend: fmt::Debug + fmt::Display + Send + Sync + 'static {
    /// Starts the instance and returns how to reach it once it accepts calls.
    ///
    /// Idempotent: a running instance is adopted (`fresh` is `false`). An [`Endpoint::Stream`] has a single holder;
    /// while the holder is alive, another start fails with [`Conflict`](crate::ErrorKind::Conflict). If the instance
    /// is about to end, `start` waits for the end first. Reports what it waits for to `progress`. The caller sets the
    /// timeout.
    ///
    /// A program that exits immediately is reported either as an error with its last lines or through
    /// [`exited`](Instance::exited), depending on how soon the backend can detect it.
    ///
    /// # Errors
    /// [`StartFailed`](crate::ErrorKind::StartFailed) with what to fix, as soon as waiting cannot help.
    async fn start(
        &self,
        key: &InstanceKey,
        launch: &LaunchSpec,
        progress: &Progress,
    ) -> Result<Instance>;

    /// Stops the instance: nothing runs any more, and everything needed to start it again is kept. Succeeds if the
    /// instance does not exist.
    ///
    /// Closes the instance's input, waits `grace`, asks the instance to terminate, waits `grace` again, then kills
    /// it.
    ///
    /// # Errors
    /// If the instance is still running or its state is unknown.
    async fn stop(&self, key: &InstanceKey, grace: Duration) -> Result<()>;

    /// Stops the instance as `stop` does and deletes everything that belongs to it. Succeeds if the instance does not
    /// exist.
    ///
    /// # Errors
    /// If anything is left or the outcome is unknown.
    async fn remove(&self, key: &InstanceKey, grace: Duration) -> Result<()>;

    /// Gives a running instance a newer generation of its credential: file slots are rewritten. Succeeds if the
    /// instance does not exist.
    ///
    /// # Errors
    /// If the instance still has the previous credential.
    async fn refresh(&self, key: &InstanceKey, credential: &Credential) -> Result<()>;

    /// Yields every instance of this orchestrator, including those started before a restart, then
    /// [`InstanceEvent::Synced`], then every change.
    fn watch(&self) -> BoxStream<'static, Result<InstanceEvent>>;

    /// Returns the instance's own output, oldest first and bounded. The stream ends after the existing lines unless
    /// `options.follow` is set.
    ///
    /// # Errors
    /// [`NoRoute`](crate::ErrorKind::NoRoute) if the instance is unknown.
    async fn logs(
        &self,
        key: &InstanceKey,
        options: LogOptions,
    ) -> Result<BoxStream<'static, Result<LogLine>>>;

    /// Verifies that a server that runs elsewhere accepts connections. Starts nothing and sends neither a request nor a
    /// credential. Succeeds for a server that this backend would have to start: only a start can show whether it works.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) with why the server cannot be connected to.
    async fn check_connection(&self, _: &ServerSpec) -> Result<()> {
        Ok(())
    }

    /// Describes an instance for operators; stopped instances are included.
    ///
    /// # Errors
    /// [`NoRoute`](crate::ErrorKind::NoRoute) if the instance is unknown.
    async fn describe(&self, key: &InstanceKey) -> Result<Description>;

    /// Detaches from the instance when the orchestrator shuts down. An instance that can outlive the process is left
    /// running; any other is stopped as by `stop`. Succeeds if the instance does not exist.
    ///
    /// # Errors
    /// As for `stop`.
    async fn leave(&self, key: &InstanceKey, grace: Duration) -> Result<()>;
}
