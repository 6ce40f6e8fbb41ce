//! Converts a reply to HTTP: JSON if the response is the first message, else an event stream.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::response::Response;
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, StatusCode};
use mcp_orchestrator_core::Result;
use mcp_orchestrator_core::auth::Principal;
use mcp_orchestrator_core::call::{EventId, Reply, ReplyItem};
use mcp_orchestrator_core::jsonrpc::Message;
use mcp_orchestrator_core::protocol::Era;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::bodies::BodyMemory;
use super::event_id;
use crate::errors;

const EVENT_STREAM: &str = "text/event-stream";
/// The delay before a client resumes a broken stream, in milliseconds.
const RETRY_MS: u32 = 1000;

/// How to answer a client.
#[derive(Clone, Debug)]
pub(crate) struct ReplyFormat {
    /// The request's id as JSON; `null` for a stream that answers none.
    pub(crate) id: String,
    pub(crate) era: Era,
    pub(crate) keep_alive: Duration,
}

/// The account of the responses that a principal has not read.
pub(crate) type Unread<'a> = (&'a BodyMemory, &'a Principal);

/// A JSON response.
pub(crate) fn json(body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Returns `true` if the response is an event stream.
pub(crate) fn is_stream(response: &Response) -> bool {
    // The length of a stream is unknown, which is cheaper to see than its type.
    let is_whole = response.body().size_hint().exact().is_some();
    let content = || response.headers().get(CONTENT_TYPE);
    !is_whole && content().is_some_and(|value| value == EVENT_STREAM)
}

/// Returns 202 without a body.
pub(crate) fn accepted() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

/// A call in progress. It is boxed because a future passed by value is copied at each step.
pub(crate) type CallFuture = BoxFuture<'static, Result<Reply>>;

/// Returns the response for a slow call: an event stream with keep-alive comments.
pub(crate) fn pending(call: CallFuture, format: ReplyFormat) -> Response {
    events(Source::Pending(call), format)
}

/// Returns the response for a call that has started to answer.
pub(crate) fn reply(answer: Result<Reply>, format: ReplyFormat, unread: Unread<'_>) -> Response {
    let failed = |error| errors::response(&error, Some(&format.id), format.era);
    let reply = match answer {
        Ok(reply) => reply,
        Err(error) => return failed(error),
    };
    let session = reply.session.clone();
    let mut response = match reply.into_ready() {
        Ok(message) => {
            let status = status_of(&message, format.era);
            let (memory, principal) = unread;
            let body = match memory.response(message.into_bytes(), principal) {
                Ok(body) => body,
                Err(error) => return failed(error),
            };
            let mut response = json(body);
            *response.status_mut() = status;
            response
        }
        Err(stream) => events(Source::Reply(stream), format),
    };
    if let Some(session) = session
        && let Ok(value) = HeaderValue::from_str(session.as_str())
    {
        response
            .headers_mut()
            .insert(HeaderName::from_static("mcp-session-id"), value);
    }
    response
}

/// The answer to one member of a batch: the id of its request as JSON, and the outcome.
type MemberAnswer = (String, Result<Reply>);

/// Returns the response for a batch: an array, or one event stream if any reply has several messages.
///
/// # Errors
/// If the sender has not read too many large responses.
pub(crate) fn batch(
    answers: Vec<MemberAnswer>,
    format: ReplyFormat,
    (memory, principal): Unread<'_>,
) -> Result<Response> {
    let (mut ready, mut coming) = (Vec::new(), Vec::new());
    for (id, answer) in answers {
        match answer.map(Reply::into_ready) {
            Ok(Ok(message)) => ready.push(message.into_bytes()),
            Ok(Err(reply)) => coming.push(member(id, reply, format.era)),
            Err(error) => ready.push(errors::json(&error, &id, format.era)),
        }
    }
    if coming.is_empty() {
        let mut body = BytesMut::new();
        for (at, one) in ready.iter().enumerate() {
            body.put_u8(if at == 0 { b'[' } else { b',' });
            body.put_slice(one);
        }
        body.put_u8(b']');
        return Ok(json(memory.response(body.freeze(), principal)?));
    }
    let ready = ready.into_iter().filter_map(notification);
    let all = stream::iter(ready).chain(stream::select_all(coming));
    Ok(events(Source::Reply(Reply::stream(all.boxed())), format))
}

/// One reply among several on a stream. Its end does not end the stream.
fn member(id: String, reply: Reply, era: Era) -> BoxStream<'static, ReplyItem> {
    let items = reply.filter_map(move |item| {
        std::future::ready(match item {
            ReplyItem::Response(message) => Some(ReplyItem::Notification(message)),
            ReplyItem::Failed(error) => notification(errors::json(&error, &id, era)),
            other => Some(other),
        })
    });
    items.boxed()
}

fn notification(bytes: Bytes) -> Option<ReplyItem> {
    Message::parse(bytes).ok().map(ReplyItem::Notification)
}

/// Returns the HTTP status of a response. Some errors of modern servers have their own; everything else is 200.
fn status_of(message: &Message, era: Era) -> StatusCode {
    use mcp_orchestrator_core::jsonrpc::{Kind, Members};
    use mcp_orchestrator_core::protocol::code;
    if era == Era::Legacy || message.kind() != Kind::Error {
        return StatusCode::OK;
    }
    let code = message
        .body()
        .and_then(Members::read)
        .and_then(|error| error.get("code")?.parse::<i32>().ok());
    match code {
        Some(code::METHOD_NOT_FOUND) => StatusCode::NOT_FOUND,
        Some(code::HEADER_MISMATCH | code::MISSING_CAPABILITY | code::UNSUPPORTED_VERSION) => {
            StatusCode::BAD_REQUEST
        }
        _ => StatusCode::OK,
    }
}

/// Returns an event stream.
pub(crate) fn stream(reply: Reply, format: ReplyFormat) -> Response {
    events(Source::Reply(reply), format)
}

enum Source {
    Pending(CallFuture),
    Reply(Reply),
    Ended,
}

struct Events {
    source: Source,
    format: ReplyFormat,
    /// The id of the last event, if events have ids.
    at: Option<EventId>,
    /// The end of each event's id.
    suffix: String,
    primed: bool,
    begun: bool,
    ticks: Interval,
}

fn events(source: Source, format: ReplyFormat) -> Response {
    let mut ticks = tokio::time::interval_at(Instant::now() + format.keep_alive, format.keep_alive);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (at, primed) = match &source {
        Source::Reply(reply) => (reply.after, reply.primed),
        Source::Pending(_) | Source::Ended => (None, false),
    };
    let suffix = match at {
        Some(_) => event_id::suffix(&format.id),
        None => String::new(),
    };
    let events = Events {
        source,
        format,
        at,
        suffix,
        primed,
        begun: false,
        ticks,
    };
    event_stream(Body::from_stream(chunks(events)))
}

/// Creates the response of an event stream.
pub(crate) fn event_stream(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-transform"),
    );
    headers.insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    response
}

/// Yields the events as chunks. Events that are available together go in one write, because a second small write would
/// wait for the acknowledgement of the first.
fn chunks(events: Events) -> impl Stream<Item = std::result::Result<Bytes, Infallible>> + Send {
    stream::unfold(events, |mut events| async move {
        let mut out = BytesMut::new();
        if !events.begun {
            events.begin(&mut out);
        }
        loop {
            if out.is_empty() {
                if !events.next(&mut out).await {
                    return None;
                }
            } else if !events.next(&mut out).now_or_never().unwrap_or(false) {
                return Some((Ok(out.freeze()), events));
            }
        }
    })
}

impl Events {
    fn begin(&mut self, out: &mut BytesMut) {
        self.begun = true;
        match (self.at, self.primed) {
            (Some(at), true) => {
                out.put_slice(
                    format!("id: {at}{}\nretry: {RETRY_MS}\ndata:\n\n", self.suffix).as_bytes(),
                );
            }
            // A proxy may buffer headers without a body.
            _ => out.put_slice(b":\n\n"),
        }
    }

    /// Writes the next event; returns `false` at the end.
    async fn next(&mut self, out: &mut BytesMut) -> bool {
        loop {
            match &mut self.source {
                Source::Ended => return false,
                Source::Pending(call) => {
                    let answer = tokio::select! {
                        answer = call => answer,
                        _ = self.ticks.tick() => return keep_alive(out),
                    };
                    match answer {
                        Ok(reply) => {
                            self.source = Source::Reply(reply);
                        }
                        Err(error) => {
                            self.source = Source::Ended;
                            let body = errors::json(&error, &self.format.id, self.format.era);
                            self.event(out, &body);
                            return true;
                        }
                    }
                }
                Source::Reply(reply) => {
                    let item = tokio::select! {
                        item = reply.next() => item,
                        _ = self.ticks.tick() => return keep_alive(out),
                    };
                    self.at = reply.after;
                    return self.item(out, item);
                }
            }
        }
    }

    fn item(&mut self, out: &mut BytesMut, item: Option<ReplyItem>) -> bool {
        match item {
            Some(ReplyItem::Notification(message)) => self.event(out, message.bytes()),
            Some(ReplyItem::Response(message)) => {
                self.source = Source::Ended;
                self.event(out, message.bytes());
            }
            // The client's `Last-Event-ID` did not say which request has failed.
            Some(ReplyItem::Failed(_)) if self.at.is_some() && self.format.id == "null" => {
                self.source = Source::Ended;
                return false;
            }
            Some(ReplyItem::Failed(error)) => {
                self.source = Source::Ended;
                let body = errors::json(&error, &self.format.id, self.format.era);
                self.event(out, &body);
            }
            // Only sessions can receive requests; dropping this one refuses it.
            Some(ReplyItem::Request(_)) => {}
            None => {
                self.source = Source::Ended;
                return false;
            }
        }
        true
    }

    fn event(&self, out: &mut BytesMut, message: &[u8]) {
        out.reserve(message.len() + 48);
        if let Some(at) = self.at {
            out.put_slice(format!("id: {at}{}\n", self.suffix).as_bytes());
        }
        put_data(out, message);
    }
}

/// Writes the `data` fields of an event, and its end. A line break in JSON is white space between tokens, so each line
/// may be a separate field.
pub(crate) fn put_data(out: &mut BytesMut, data: &[u8]) {
    for line in data.split(|byte| matches!(byte, b'\n' | b'\r')) {
        out.put_slice(b"data: ");
        out.put_slice(line);
        out.put_u8(b'\n');
    }
    out.put_u8(b'\n');
}

/// Writes a comment that keeps the connection alive.
fn keep_alive(out: &mut BytesMut) -> bool {
    out.put_slice(b": keep-alive\n\n");
    true
}
