//! Starts an instance and performs the MCP handshake.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::mpsc;

use super::detect_transport::{Ends, Spoken, either, spoken};
use super::reattach::Attempt;
use crate::credential::{Credential, Owner};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::MAX_WAITING_UNSOLICITED;
use crate::pool::connection::Link;
use crate::pool::handle;
use crate::pool::handle::Handle;
use crate::pool::http_link::HttpLink;
use crate::pool::reachability::{Reach, Watched};
use crate::pool::slot::Slot;
use crate::pool::{Pool, Spec};
use crate::runtime::advice;
use crate::runtime::{
    Endpoint, Exit, Instance, InstanceKey, LaunchSpec, LogLine, LogOptions, Progress, Scope,
};
use crate::server::{Isolation, Launch};
use crate::transport::handshake::{ALL_CAPABILITIES, Joined, Profile};
use crate::transport::pipe::{Ask, Opened, Options, Pipe};
use crate::transport::streamable::Http;
use crate::transport::{Inbox, Party, Place, Unsolicited, ended};

/// Lines of output that are kept of an instance that failed to start. `LAST_OUTPUT_TIMEOUT` limits the time to read them.
const MAX_LAST_OUTPUT_LINES: usize = 500;
const LAST_OUTPUT_TIMEOUT: Duration = Duration::from_secs(2);

type Exited = Shared<BoxFuture<'static, Exit>>;
/// Sender of messages that belong to no call, with the party that the connection belongs to.
type Arrivals = mpsc::Sender<(Option<Party>, Unsolicited)>;

/// Result of connecting to an instance.
enum Linked {
    /// Connected, until the exit future completes.
    Link(Link, Exited),
    /// A reattached instance refused another handshake, and the first one is not known. Contains the refusal.
    Unknown(Error),
}

impl Pool {
    /// Starts an instance and performs the handshake.
    pub(crate) async fn start(
        self: &Arc<Self>,
        spec: &Arc<Spec>,
        slot: &Slot,
        credential: Arc<Credential>,
        progress: &Progress,
    ) -> Result<Arc<Handle>> {
        let key = InstanceKey::new(
            spec.server.id.clone(),
            slot.owner.clone(),
            slot.revision.clone(),
            slot.scope.clone(),
            spec.digest_with(&credential),
        );
        let limit = spec.server.limits.start_timeout;
        let begin = tokio::time::Instant::now();
        let mut attempt = self.attempt(&key);
        let started = tokio::select! {
            started = tokio::time::timeout(limit, self.place(spec, &key, credential, progress, &mut attempt)) => started,
            () = self.closing.cancelled() => Ok(Err(Error::new(ErrorKind::Unavailable, "the orchestrator is shutting down"))),
        };
        let outcome = started.unwrap_or_else(|_| Err(not_ready(spec, limit, &progress.last())));
        match outcome {
            Ok(handle) => {
                self.lost.forget(&key);
                tracing::info!(server = %spec.server.id, instance = %key, joined = attempt.ran, ms = begin.elapsed().as_millis(), "instance started");
                Ok(handle)
            }
            // An instance that ran before must not be ended because it cannot be reached.
            Err(error) if attempt.is_out_of_reach(progress, &error, slot.failures()) => {
                Err(error.with_server(&spec.server.id).with_instance(&key))
            }
            Err(error) if attempt.is_outage(&error) && !self.closing.is_cancelled() => {
                if let Some(observer) = self.observer() {
                    observer.failed(&key, Vec::new(), &error);
                }
                Err(error.with_server(&spec.server.id).with_instance(&key))
            }
            Err(error) => {
                self.lost.forget(&key);
                let output = self.last_words(&key).await;
                if let Err(left) = self
                    .backend
                    .remove(&key, spec.server.limits.stop_grace)
                    .await
                {
                    self.removals.failed(&key, &left);
                }
                if let Some(observer) = self.observer() {
                    observer.failed(&key, output, &error);
                }
                Err(error.with_server(&spec.server.id).with_instance(&key))
            }
        }
    }

    /// Reads the output of an instance, because its removal deletes the log too.
    async fn last_words(&self, key: &InstanceKey) -> Vec<LogLine> {
        let options = LogOptions {
            tail: Some(MAX_LAST_OUTPUT_LINES),
            ..LogOptions::default()
        };
        let read = async {
            let Ok(lines) = self.backend.logs(key, options).await else {
                return Vec::new();
            };
            let lines = lines.take(MAX_LAST_OUTPUT_LINES);
            lines
                .filter_map(|line| std::future::ready(line.ok()))
                .collect()
                .await
        };
        tokio::time::timeout(LAST_OUTPUT_TIMEOUT, read)
            .await
            .unwrap_or_default()
    }

    async fn place(
        self: &Arc<Self>,
        spec: &Arc<Spec>,
        key: &InstanceKey,
        credential: Arc<Credential>,
        progress: &Progress,
        attempt: &mut Attempt,
    ) -> Result<Arc<Handle>> {
        let begin = tokio::time::Instant::now();
        let launch = LaunchSpec {
            server: Arc::clone(&spec.server),
            credential: Arc::clone(&credential),
        };
        let (link, exited, receiver, reach) = loop {
            let instance = self.backend.start(key, &launch, progress).await?;
            (attempt.ran, attempt.reached) = (!instance.fresh, true);
            attempt.placed = true;
            progress.report("the MCP handshake");
            let reach = Arc::new(Reach::default());
            let (arrivals, receiver) = mpsc::channel(MAX_WAITING_UNSOLICITED);
            match self
                .link(spec, key, instance, arrivals, attempt, &reach)
                .await?
            {
                Linked::Link(link, exited) => break (link, exited, receiver, reach),
                Linked::Unknown(refused) if attempt.stopped => return Err(start_failed(refused)),
                Linked::Unknown(refused) => {
                    attempt.stopped = true;
                    self.start_over(spec, key, &refused).await?;
                }
            }
        };
        let start = begin.elapsed();
        let handle = Arc::new(Handle::new(
            key.clone(),
            Arc::clone(spec),
            credential,
            link,
            exited,
            attempt.ran,
            start,
            reach,
        ));
        self.listen(&handle, receiver);
        Ok(handle)
    }

    /// Connects to a running instance.
    async fn link(
        self: &Arc<Self>,
        spec: &Arc<Spec>,
        key: &InstanceKey,
        instance: Instance,
        arrivals: Arrivals,
        attempt: &mut Attempt,
        reach: &Arc<Reach>,
    ) -> Result<Linked> {
        let mut failed = |error| {
            attempt.failed(&error);
            start_failed(error)
        };
        let mut exited = handle::shared(instance.exited);
        let link = match instance.endpoint {
            Endpoint::Stream { reader, writer } => {
                let joined = if instance.fresh {
                    None
                } else {
                    Some(self.joined(key).await)
                };
                let ends = Ends::new(reader, writer);
                let opened = self.pipe(spec, key, joined, ends, &exited, arrivals);
                match opened.await.map_err(&mut failed)? {
                    Opened::Open(pipe) => Link::Pipe(pipe),
                    Opened::Unknown(refused) => return Ok(Linked::Unknown(refused)),
                }
            }
            Endpoint::Http {
                uri,
                connect,
                headers,
            } => {
                let connect = Arc::new(Watched::new(connect, Arc::clone(reach)));
                let bytes = spec.server.limits.message_bytes;
                let http = Http::new(Place::from(key), &uri, connect, headers, bytes)?;
                let spoken = spoken(&spec.server, http).await;
                match spoken.map_err(&mut failed)? {
                    Spoken::Sse(sse) => {
                        exited = handle::shared(either(exited, sse.ended));
                        let mut ends = Ends::new(sse.reader, sse.writer);
                        ends.failed = Some(sse.failed);
                        let opened = self.pipe(spec, key, None, ends, &exited, arrivals);
                        match opened.await.map_err(&mut failed)? {
                            Opened::Open(pipe) => Link::Pipe(pipe.carried_by(sse.tasks)),
                            Opened::Unknown(refused) => return Err(failed(refused)),
                        }
                    }
                    Spoken::Streamable(http) => {
                        let (link, unsolicited) = HttpLink::new(*http, spec.server.era);
                        self.forward(unsolicited, arrivals, |(party, message)| {
                            (Some(party), message)
                        });
                        Link::Http(Box::new(link))
                    }
                }
            }
        };
        Ok(Linked::Link(link, exited))
    }

    /// Performs the handshake over a pipe.
    async fn pipe(
        self: &Arc<Self>,
        spec: &Arc<Spec>,
        key: &InstanceKey,
        joined: Option<Joined>,
        ends: Ends,
        exited: &Exited,
        arrivals: Arrivals,
    ) -> Result<Opened> {
        let (inbox, unsolicited) = mpsc::channel(MAX_WAITING_UNSOLICITED);
        // An instance that has just started has written nothing about the calls of others.
        let lines = joined.is_none() || self.ask(spec, key) != Ask::Nobody;
        let mut options = self.pipe_options(spec, key, joined, inbox, exited.clone());
        options.failed = ends.failed;
        let opened = Pipe::open(ends.reader, ends.writer, options);
        let opened = tokio::select! {
            opened = opened => opened,
            exit = exited.clone() => Err(ended(&Place::from(key), &exit, lines)),
        };
        let opened = opened?;
        self.forward(unsolicited, arrivals, |message| (None, message));
        Ok(opened)
    }

    fn forward<T: Send + 'static>(
        &self,
        mut from: mpsc::Receiver<T>,
        to: Arrivals,
        tag: impl Fn(T) -> (Option<Party>, Unsolicited) + Send + 'static,
    ) {
        self.tasks.spawn(async move {
            while let Some(message) = from.recv().await {
                if to.send(tag(message)).await.is_err() {
                    return;
                }
            }
        });
    }

    /// Forwards messages of the instance that belong to no call.
    fn listen(&self, handle: &Arc<Handle>, mut from: mpsc::Receiver<(Option<Party>, Unsolicited)>) {
        let (handle, observer) = (Arc::downgrade(handle), self.observer.get().cloned());
        self.tasks.spawn(async move {
            while let Some((party, message)) = from.recv().await {
                let observer = observer.as_ref().and_then(std::sync::Weak::upgrade);
                let (Some(handle), Some(observer)) = (handle.upgrade(), observer) else {
                    return;
                };
                observer.unsolicited(&handle, party, message);
            }
        });
    }

    fn pipe_options(
        self: &Arc<Self>,
        spec: &Arc<Spec>,
        key: &InstanceKey,
        joined: Option<Joined>,
        inbox: Inbox,
        exited: impl Future<Output = Exit> + Send + 'static,
    ) -> Options {
        let ask = self.ask(spec, key);
        let (observer, about) = (self.observer.get().cloned(), key.clone());
        Options {
            place: Place::from(key),
            era: spec.server.era,
            profile: Profile {
                capabilities: capabilities(ask).into(),
                ..Profile::plain()
            },
            message_bytes: spec.server.limits.message_bytes,
            in_flight: spec.server.limits.calls_in_flight,
            joined,
            ask,
            note: Arc::new(move |source, text| {
                if let Some(observer) = observer.as_ref().and_then(std::sync::Weak::upgrade) {
                    observer.note(&about, source, text);
                }
            }),
            inbox,
            exited: Box::pin(exited),
            failed: None,
        }
    }

    /// Returns the client that receives a program's requests. Only a child that is used by a single principal has one.
    pub(crate) fn ask(&self, spec: &Spec, key: &InstanceKey) -> Ask {
        match (spec.server.isolation, key.scope()) {
            (_, Scope::Session(_)) => Ask::TheCaller,
            (_, Scope::Principal(_)) => Ask::CallInFlight,
            (Isolation::Shared, _)
                if self.single_principal || matches!(key.owner(), Owner::User(_)) =>
            {
                Ask::CallInFlight
            }
            _ => Ask::Nobody,
        }
    }
}

/// Returns the error for a server that takes too long, with the next step.
fn not_ready(spec: &Spec, limit: Duration, last: &str) -> Error {
    let id = &spec.server.id;
    let mut text = format!("server {id} was not ready after {}s", limit.as_secs_f32());
    if !last.is_empty() {
        text.push_str(&format!(" (still waiting for {last})"));
    }
    text.push_str("; `start_timeout` sets the limit");
    if matches!(spec.server.launch, Launch::Program(_)) {
        text.push_str(&format!(", `mcp-orchestrator logs {id}` shows its output"));
    }
    Error::new(ErrorKind::StartFailed, text)
}

/// Converts the error of a failed handshake to the error of the start.
fn start_failed(error: Error) -> Error {
    if error.kind() == ErrorKind::StartFailed {
        return error;
    }
    let text = exited_early(&error).unwrap_or_else(|| match error.kind() {
        // It was not reached, so there was no handshake.
        ErrorKind::Unavailable => error.to_string(),
        _ => format!("the MCP handshake failed: {error}"),
    });
    let failed = Error::new(ErrorKind::StartFailed, text);
    match error.data() {
        Some(data) => failed.with_data(data.to_owned()),
        None => failed,
    }
}

/// Returns the message for a program that exited during the handshake, with the next step. `None` if it did not exit.
fn exited_early(error: &Error) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Exited {
        exit: String,
        code: Option<i64>,
        #[serde(default)]
        stderr: Vec<String>,
    }
    let exited: Exited = serde_json::from_str(error.data()?.get()).ok()?;
    let server = error.server()?;
    let text = format!(
        "server {server} exited during the MCP handshake ({})",
        exited.exit
    );
    Some(match advice::on_exit(exited.code, &exited.stderr) {
        Some(advice) => format!("{text}; {advice}"),
        None => format!("{text}; `mcp-orchestrator logs {server}` shows its output"),
    })
}

/// Returns the client capabilities that are declared to a program.
fn capabilities(ask: Ask) -> &'static str {
    match ask {
        Ask::Nobody => "{}",
        Ask::CallInFlight => "{\"sampling\":{},\"elicitation\":{\"form\":{},\"url\":{}}}",
        Ask::TheCaller => ALL_CAPABILITIES,
    }
}
