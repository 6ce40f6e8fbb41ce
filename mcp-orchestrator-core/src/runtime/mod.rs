//! Where instances run: the nouns and the backend's seam.
//!
//! A backend *places* programs and does not speak MCP: the pipes of a child, an attached pod and a test's pipe are all
//! an [`Endpoint::Stream`]; framing lives once, in `transport`.

mod board;
mod connect;
mod describe;
mod dispatch;
mod hidden;
mod input;
mod key;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
mod logbook;
mod logs;
mod memory;
#[cfg(all(unix, feature = "process"))]
mod process;
#[cfg(feature = "remote")]
mod remote;
mod tcp;

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

pub use self::connect::{BoxedIo, Connect, HeaderCell, Io};
pub use self::describe::{Description, InstanceNote};
pub use self::dispatch::BackendSet;
pub use self::key::{InstanceKey, Scope, SpecDigest};
pub use self::logbook::{LogBook, LogLimits};
pub use self::logs::{LogLine, LogOptions, LogSource};
pub use self::memory::MemoryBackend;
#[cfg(all(unix, feature = "process"))]
pub use self::process::{ProcessBackend, keeper, port_holder};
#[cfg(feature = "remote")]
pub use self::remote::RemoteBackend;
pub use self::tcp::TcpConnect;
#[cfg(feature = "outbound")]
pub(crate) use self::tcp::connect_any;
use crate::credential::Credential;
use crate::error::Result;
use crate::server::ServerSpec;

/// All that a backend needs to make an instance run.
#[derive(Clone, Debug)]
pub struct LaunchSpec {
    /// The server.
    pub server: Arc<ServerSpec>,
    /// The values of its slots, and whose they are.
    pub credential: Arc<Credential>,
}

/// A running instance.
pub struct Instance {
    /// How it is reached.
    pub endpoint: Endpoint,
    /// Started now; else it ran before and was joined.
    pub fresh: bool,
    /// Ends when the instance does, however that comes. It may be polled or dropped at will.
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
    /// A pipe that carries one message a line. Dropping it ends the conversation.
    Stream {
        /// What the instance says.
        reader: Box<dyn AsyncRead + Send + Unpin>,
        /// What it is told.
        writer: Box<dyn AsyncWrite + Send + Unpin>,
    },
    /// An HTTP endpoint.
    Http {
        /// Its address; the path matters, the host is that of the `Host` header.
        uri: Uri,
        /// Makes connections to it.
        connect: Arc<dyn Connect>,
        /// Header slots of the current generation: each request reads them.
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
    /// What to tell people, as `exit status 3` or `OOMKilled`.
    pub reason: String,
    /// The status that the program ended with.
    pub code: Option<i32>,
    /// The last lines of its standard error, oldest first; bounded.
    pub tail: Vec<String>,
}

impl Exit {
    /// That of a program which ended by itself with this status.
    pub fn status(code: i32) -> Self {
        Self {
            reason: format!("exit status {code}"),
            code: Some(code),
            tail: Vec::new(),
        }
    }
}

/// How an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// On its way.
    Starting,
    /// Can be called.
    Running,
    /// Stopped; all that a start needs is kept.
    Resting,
    /// Ended, or could not start.
    Failed,
}

/// What a backend knows of one instance.
#[derive(Clone, Debug)]
pub struct InstanceStatus {
    /// Which one.
    pub key: InstanceKey,
    /// How it is.
    pub phase: Phase,
    /// Why it is so, where there is something to say.
    pub reason: Option<String>,
    /// Since when.
    pub since: SystemTime,
    /// What people look for: `pid`, `pod`, `node`, `port`.
    pub place: Vec<(&'static str, String)>,
}

/// One item of [`RuntimeBackend::watch`].
#[derive(Clone, Debug)]
pub enum InstanceEvent {
    /// This is how an instance is now.
    Is(InstanceStatus),
    /// Nothing is left of it.
    Gone(InstanceKey),
    /// All that existed when the watch began has been told.
    Synced,
}

/// Where a backend tells what a start waits for. Telling never waits; the last word counts.
#[derive(Clone, Debug)]
pub struct Progress {
    words: watch::Sender<Arc<str>>,
    /// Shared by all clones.
    ran_before: Arc<AtomicBool>,
}

impl Progress {
    /// A place to tell, and one to hear.
    pub fn channel() -> (Self, watch::Receiver<Arc<str>>) {
        let (sender, receiver) = watch::channel("".into());
        let progress = Self {
            words: sender,
            ran_before: Arc::default(),
        };
        (progress, receiver)
    }

    /// A place where nobody listens.
    pub fn unheard() -> Self {
        Self::channel().0
    }

    /// Another place to hear.
    pub fn subscribe(&self) -> watch::Receiver<Arc<str>> {
        self.words.subscribe()
    }

    /// What was told last; empty where nothing was.
    pub fn last(&self) -> Arc<str> {
        Arc::clone(&self.words.borrow())
    }

    /// Notes whether the instance runs since before this start, as far as the backend knows. A backend whose instances
    /// outlive it says so before it asks anything that may fail: an instance that ran before is left alone where the start
    /// fails for want of a way to it, and one that did not is removed.
    pub fn set_ran_before(&self, ran_before: bool) {
        self.ran_before.store(ran_before, Ordering::Release);
    }

    /// What [`set_ran_before`](Self::set_ran_before) noted last; at first `false`.
    pub fn ran_before(&self) -> bool {
        self.ran_before.load(Ordering::Acquire)
    }

    /// Says what is being waited for, as `pulling image`.
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
/// An [`InstanceKey`] names one instance; it never changes, and different keys never share anything. All methods may be
/// called at any time and from many tasks. Dropping a future is safe: what was begun is either undone or found again
/// through `watch` and ended by `remove`. An implementation runs [`crate::testing::runtime`]'s suite.
#[async_trait]
pub trait RuntimeBackend: fmt::Debug + fmt::Display + Send + Sync + 'static {
    /// Makes the instance run and answers how to reach it, once it can be spoken to.
    ///
    /// Idempotent: where it runs already it is joined (`fresh` is false). A [`Endpoint::Stream`] has one holder: while
    /// that lives, another start is [`Conflict`](crate::ErrorKind::Conflict). Where the instance is about to end, its end
    /// is waited for. Reports what it waits for. The caller bounds the time.
    ///
    /// A program that ends at once is told either as an error with its last lines, or by
    /// [`exited`](Instance::exited): by which depends on how soon the backend can know.
    ///
    /// # Errors
    /// [`StartFailed`](crate::ErrorKind::StartFailed) with what to mend, as soon as waiting cannot help.
    async fn start(
        &self,
        key: &InstanceKey,
        launch: &LaunchSpec,
        progress: &Progress,
    ) -> Result<Instance>;

    /// Puts it to rest: nothing runs any more, all that a start needs is kept. Absent is Ok. Closes its input, waits
    /// `grace`, asks it to end, waits `grace` again, ends it.
    ///
    /// # Errors
    /// Where it still runs, or that is unknown.
    async fn stop(&self, key: &InstanceKey, grace: Duration) -> Result<()>;

    /// Leaves nothing of it. Absent is Ok. Ends it as `stop` does.
    ///
    /// # Errors
    /// Where something is left, or that is unknown.
    async fn remove(&self, key: &InstanceKey, grace: Duration) -> Result<()>;

    /// Hands a newer generation of its credential to what runs: file slots are rewritten. Absent is Ok.
    ///
    /// # Errors
    /// Where the instance still has the old one.
    async fn refresh(&self, key: &InstanceKey, credential: &Credential) -> Result<()>;

    /// Every instance of this orchestrator, also from before a restart, then [`InstanceEvent::Synced`], then each
    /// change.
    fn watch(&self) -> BoxStream<'static, Result<InstanceEvent>>;

    /// The instance's own output, oldest first, bounded; ends with what there is, or goes on where asked to follow.
    ///
    /// # Errors
    /// [`NoRoute`](crate::ErrorKind::NoRoute) where nothing is known of the instance.
    async fn logs(
        &self,
        key: &InstanceKey,
        options: LogOptions,
    ) -> Result<BoxStream<'static, Result<LogLine>>>;

    /// What people want to know of an instance, resting ones too.
    ///
    /// # Errors
    /// [`NoRoute`](crate::ErrorKind::NoRoute) where nothing is known of it.
    async fn describe(&self, key: &InstanceKey) -> Result<Description>;

    /// The orchestrator ends: what goes on without it is left as it is, what does not is stopped as `stop` does. Absent is
    /// Ok.
    ///
    /// # Errors
    /// As `stop`.
    async fn leave(&self, key: &InstanceKey, grace: Duration) -> Result<()>;
}
