//! Clients of the HTTP+SSE transport (2024-11-05): a GET of `/sse` opens a stream. Its first event names the address
//! for messages, and everything for the client arrives on the stream.
//!
//! A stream is one legacy session. Its calls run in the stream itself, so nothing outlives it: when the client
//! disconnects, its calls are dropped and its session ends. When the session ends for another reason, such as a revoked
//! token, so does the stream.

mod grant;
mod handler;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, SelectAll};
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use mcp_orchestrator_core::auth::{Grant, Principal};
use mcp_orchestrator_core::call::{Listen, Reply, ReplyItem};
use mcp_orchestrator_core::id::{GatewayId, SessionId};
use mcp_orchestrator_core::protocol::Era;
use mcp_orchestrator_core::seal::random_text;
use mcp_orchestrator_core::{Error, ErrorKind, Orchestrator, Result};
use parking_lot::Mutex;
use tokio::sync::mpsc;

pub(crate) use self::handler::MESSAGES;
use crate::errors;
use crate::limits::{MAX_SSE_CALLS, MAX_SSE_QUEUE, MAX_SSE_STREAMS, MAX_SSE_STREAMS_PER_PRINCIPAL};
use crate::mcp::respond;

/// A client's call: the request's id as JSON, and the future that answers it.
pub(crate) type QueuedCall = (String, BoxFuture<'static, Result<Reply>>);

/// The open streams, keyed by the last segment of the address that takes their messages.
#[derive(Debug, Default)]
pub(crate) struct SseClients(Mutex<HashMap<String, Arc<Channel>>>);

/// The shared state of one stream.
#[derive(Debug)]
pub(crate) struct Channel {
    id: String,
    pub(crate) principal: Arc<Principal>,
    pub(crate) gateway: GatewayId,
    /// The admission of the request that opened the stream.
    grant: Arc<dyn Grant>,
    session: Mutex<Option<SessionId>>,
    work: mpsc::Sender<QueuedCall>,
}

impl Channel {
    /// The session that the client has begun, if any.
    pub(crate) fn session(&self) -> Option<SessionId> {
        self.session.lock().clone()
    }

    /// Queues a call to be answered on the stream.
    ///
    /// # Errors
    /// If too many calls wait, or the stream has ended.
    pub(crate) fn answer(&self, work: QueuedCall) -> Result<()> {
        self.work.try_send(work).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::new(
                ErrorKind::Overloaded,
                "too many requests wait on this stream",
            ),
            mpsc::error::TrySendError::Closed(_) => no_stream(),
        })
    }
}

/// The error for a message that does not belong to an open stream of its sender.
pub(crate) fn no_stream() -> Error {
    Error::new(
        ErrorKind::SessionNotFound,
        "no such stream: open one by GET /sse",
    )
}

impl SseClients {
    /// Returns the open stream with this id.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<Channel>> {
        self.0.lock().get(id).cloned()
    }

    /// Opens a stream. Its messages are sent to `messages` followed by its id.
    ///
    /// # Errors
    /// If too many streams are open.
    pub(crate) fn open(
        self: &Arc<Self>,
        orchestrator: &Orchestrator,
        (principal, gateway, grant): (Arc<Principal>, GatewayId, Arc<dyn Grant>),
        (messages, keep_alive): (&str, Duration),
    ) -> Result<Response> {
        let (work, queue) = mpsc::channel(MAX_SSE_QUEUE);
        let channel = Arc::new(Channel {
            id: random_text(32),
            principal,
            gateway,
            grant,
            session: Mutex::default(),
            work,
        });
        let mut all = self.0.lock();
        let own = all
            .values()
            .filter(|one| one.principal.id == channel.principal.id);
        if all.len() >= MAX_SSE_STREAMS || own.count() >= MAX_SSE_STREAMS_PER_PRINCIPAL {
            let text =
                "too many HTTP+SSE streams are open: close one, or use streamable HTTP at /mcp";
            return Err(Error::new(ErrorKind::Overloaded, text));
        }
        all.insert(channel.id.clone(), Arc::clone(&channel));
        drop(all);
        let mut first = BytesMut::new();
        let address = format!("{messages}/{}", channel.id);
        event(&mut first, "endpoint", address.as_bytes());
        let driver = Driver {
            clients: Arc::clone(self),
            orchestrator: orchestrator.clone(),
            channel,
            queue,
            running: SelectAll::new(),
            keep_alive,
        };
        let first = stream::once(std::future::ready(first.freeze()));
        let all = first.chain(driver.events()).map(Ok::<_, Infallible>);
        Ok(respond::event_stream(Body::from_stream(all)))
    }
}

/// An event of a stream.
enum StreamEvent {
    /// A message of a call or of the general stream.
    Message(Bytes),
    /// A call has begun a session.
    Begun(SessionId),
    /// The general stream of a session has ended.
    Ended(SessionId),
}

/// Answers the calls of one stream. Dropping it ends the session.
struct Driver {
    clients: Arc<SseClients>,
    orchestrator: Orchestrator,
    channel: Arc<Channel>,
    queue: mpsc::Receiver<QueuedCall>,
    running: SelectAll<BoxStream<'static, StreamEvent>>,
    keep_alive: Duration,
}

impl Driver {
    fn events(self) -> impl Stream<Item = Bytes> + Send {
        stream::unfold(self, |mut driver| async move {
            let event = driver.next().await?;
            Some((event, driver))
        })
    }

    /// Returns the next event; `None` once the session has ended.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let room = self.running.len() < MAX_SSE_CALLS;
            tokio::select! {
                Some(said) = self.running.next(), if !self.running.is_empty() => match said {
                    StreamEvent::Message(message) => {
                        let mut out = BytesMut::with_capacity(message.len() + 32);
                        event(&mut out, "message", &message);
                        return Some(out.freeze());
                    }
                    StreamEvent::Begun(session) => self.begun(session),
                    StreamEvent::Ended(session) if self.is_over(&session) => return None,
                    StreamEvent::Ended(_) => {}
                },
                Some((id, call)) = self.queue.recv(), if room => self.running.push(said(id, call)),
                () = tokio::time::sleep(self.keep_alive) => {
                    return Some(Bytes::from_static(b": keep-alive\n\n"));
                }
            }
        }
    }

    /// Adds messages that belong to no call to the stream, which now has a session.
    fn begun(&mut self, session: SessionId) {
        let before = self.channel.session.lock().replace(session.clone());
        if let Some(before) = before {
            self.end(&before);
        }
        let listen = Listen {
            principal: Arc::clone(&self.channel.principal),
            gateway: self.channel.gateway.clone(),
            session: Some(session.clone()),
            resume: None,
            request: None,
        };
        let orchestrator = self.orchestrator.clone();
        let general = async move { orchestrator.listen(listen).await };
        let messages = general.into_stream().flat_map(|reply| match reply {
            Ok(reply) => messages("null".to_owned(), reply),
            Err(error) => {
                tracing::debug!(%error, "an HTTP+SSE client no longer receives messages that belong to no call");
                stream::empty().boxed()
            }
        });
        let ended = stream::once(std::future::ready(StreamEvent::Ended(session)));
        self.running.push(messages.chain(ended).boxed());
    }

    /// Returns `true` if this is the client's session and it has ended. Otherwise a later one took its place, or the
    /// gateway is draining and calls continue.
    fn is_over(&self, session: &SessionId) -> bool {
        let (principal, gateway) = (&self.channel.principal, &self.channel.gateway);
        let open = self
            .orchestrator
            .session_version(principal, gateway, session);
        self.channel.session().as_ref() == Some(session) && open.is_err()
    }

    fn end(&self, session: &SessionId) {
        let (principal, gateway) = (&self.channel.principal, &self.channel.gateway);
        // A session that has ended already is not an error.
        let _ = self.orchestrator.end_session(principal, gateway, session);
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.clients.0.lock().remove(&self.channel.id);
        if let Some(session) = self.channel.session() {
            self.end(&session);
        }
    }
}

/// Returns the events of one call.
fn said(id: String, call: BoxFuture<'static, Result<Reply>>) -> BoxStream<'static, StreamEvent> {
    let all = call.into_stream().flat_map(move |answer| match answer {
        Ok(reply) => {
            let begun = reply.session.clone().map(StreamEvent::Begun);
            // Emits the session first, so that it is registered before the client learns its id.
            stream::iter(begun)
                .chain(messages(id.clone(), reply))
                .boxed()
        }
        Err(error) => {
            let body = errors::json(&error, &id, Era::Legacy);
            stream::iter([StreamEvent::Message(body)]).boxed()
        }
    });
    all.boxed()
}

fn messages(id: String, reply: Reply) -> BoxStream<'static, StreamEvent> {
    let all = reply.filter_map(move |item| {
        std::future::ready(match item {
            ReplyItem::Notification(message) | ReplyItem::Response(message) => {
                Some(StreamEvent::Message(message.into_bytes()))
            }
            ReplyItem::Failed(error) => {
                Some(StreamEvent::Message(errors::json(&error, &id, Era::Legacy)))
            }
            // Only sessions can receive requests; dropping this one refuses it.
            ReplyItem::Request(_) => None,
        })
    });
    all.boxed()
}

/// Writes an event.
fn event(out: &mut BytesMut, name: &str, data: &[u8]) {
    out.put_slice(format!("event: {name}\n").as_bytes());
    respond::put_data(out, data);
}
