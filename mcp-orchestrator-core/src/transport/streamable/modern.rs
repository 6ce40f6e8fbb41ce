//! Stateless calls of the modern era to an HTTP server.

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use super::request::connections::Repeat;
use super::request::headers::{Lines, Verb};
use super::request::ready::Ready;
use super::response::reply::Answer;
use super::{Http, repeat};
use crate::call::Reply;
use crate::error::Result;
use crate::header_value;
use crate::jsonrpc::{Kind, Members, Message, request};
use crate::protocol::{Era, code, header, method, version};
use crate::trace_context::{TRACEPARENT, TRACESTATE};
use crate::transport::handshake::{self, Profile};
use crate::transport::remap::Remap;
use crate::transport::{Hello, Outgoing, era};

const VERSION: HeaderName = HeaderName::from_static(header::PROTOCOL_VERSION);
const METHOD: HeaderName = HeaderName::from_static(header::METHOD);
const NAME: HeaderName = HeaderName::from_static(header::NAME);

/// An endpoint that is used without a session.
#[derive(Clone, Debug)]
pub(crate) struct Modern {
    http: Arc<Http>,
}

impl Modern {
    pub(crate) fn new(http: Arc<Http>) -> Self {
        Self { http }
    }

    /// Sends `server/discover` and returns its result.
    ///
    /// # Errors
    /// An error if the server cannot be reached or does not support the modern era.
    pub(crate) async fn discover(&self, profile: &Profile) -> Result<Hello> {
        let id = self.http.ids.take();
        let params = handshake::discover_params(profile);
        let ready = Ready {
            body: request(id.as_str(), method::DISCOVER, Some(&params)),
            id,
            repeat: Repeat::Harmless,
            check: None,
            trace: None,
        };
        let extra = headers(method::DISCOVER, None);
        let reply = self.post(&ready, &extra).await?;
        let response = reply.response().await?;
        handshake::discovered(&response).map_err(|error| self.http.placed(error))
    }

    /// Sends a request and waits for its response or the first message before it. The body is sent unchanged except for
    /// the name, the id and the progress token.
    ///
    /// # Cancel safety
    /// Dropping the future or the reply closes the stream, which cancels the request.
    pub(crate) async fn request(&self, outgoing: &Outgoing<'_>) -> Result<Reply> {
        let id = self.http.ids.take();
        let remap = Remap::begin(outgoing.message, id);
        let mut edits = Cow::Borrowed(outgoing.edits);
        era::request(outgoing, &mut edits, Era::Modern, version::LATEST_MODERN)?;
        let mut extra = headers(outgoing.message.method(), outgoing.name);
        for (name, value) in outgoing.headers {
            // The gateway reads the trace of its caller from them.
            if name != TRACEPARENT && name != TRACESTATE {
                extra.push(name, value);
            }
        }
        if let Some(trace) = outgoing.trace {
            extra = extra.with(trace);
        }
        let ready = Ready {
            body: remap.apply(outgoing.message, &edits),
            id,
            repeat: repeat(outgoing.message.method()),
            check: outgoing.check,
            trace: None,
        };
        let reply = self.post(&ready, &extra).await?;
        Ok(era::reply(
            remap.reply(reply),
            Era::Modern,
            outgoing.era,
            outgoing.message.method(),
        ))
    }

    /// Posts a request. Retries once if the server rejects a protocol version that it lists as supported.
    async fn post(&self, ready: &Ready<'_>, lines: &Lines) -> Result<Reply> {
        let mut again = false;
        loop {
            let sent =
                self.http
                    .exchange(Verb::Post, &ready.body, lines, (ready.repeat, ready.check));
            let mut exchange = Some(sent.await?);
            let reply = match self.http.answer(&mut exchange, ready.id, None).await? {
                Answer::Reply(reply) => reply,
                Answer::Refused(refusal) => refusal.outcome()?,
            };
            match reply.into_ready() {
                Ok(response) if !again && speaks_it_after_all(&response) => again = true,
                Ok(response) => return Ok(Reply::ready(response)),
                Err(stream) => return Ok(stream),
            }
        }
    }
}

/// Returns `true` if a server rejects our protocol version although it lists it as supported.
fn speaks_it_after_all(response: &Message) -> bool {
    if response.kind() != Kind::Error {
        return false;
    }
    let error = response.body().and_then(Members::read).unwrap_or_default();
    let data = error
        .get("data")
        .and_then(Members::read)
        .unwrap_or_default();
    let supported = data
        .get("supported")
        .map(serde_json::from_str::<Vec<String>>);
    error
        .get("code")
        .is_some_and(|found| found == code::UNSUPPORTED_VERSION.to_string())
        && supported.is_some_and(|list| {
            list.is_ok_and(|list| list.iter().any(|version| version == version::LATEST_MODERN))
        })
}

/// Returns the header lines of a request of the modern era.
pub(super) fn headers(method: &str, name: Option<&str>) -> Lines {
    const LATEST: HeaderValue = HeaderValue::from_static(version::LATEST_MODERN);
    let mut lines = Lines::default();
    lines.push(&VERSION, &LATEST);
    lines.push(&METHOD, &header_value::encode(method));
    if let Some(name) = name {
        lines.push(&NAME, &header_value::encode(name));
    }
    lines
}
