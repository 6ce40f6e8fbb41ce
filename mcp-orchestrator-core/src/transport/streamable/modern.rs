//! Stateless calls of the modern era to an HTTP server.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use super::Http;
use super::heads::{Lines, Verb};
use super::reply::Answer;
use crate::call::{Reply, own};
use crate::error::Result;
use crate::header_value;
use crate::jsonrpc::{Kind, Members, Message, request};
use crate::protocol::{Era, code, header, method, version};
use crate::transport::handshake::{self, Profile};
use crate::transport::{Hello, Outgoing, era};

const VERSION: HeaderName = HeaderName::from_static(header::PROTOCOL_VERSION);
const METHOD: HeaderName = HeaderName::from_static(header::METHOD);
const NAME: HeaderName = HeaderName::from_static(header::NAME);

/// An endpoint that is spoken to without a session.
#[derive(Clone, Debug)]
pub(crate) struct Modern {
    http: Arc<Http>,
}

impl Modern {
    pub(crate) fn new(http: Arc<Http>) -> Self {
        Self { http }
    }

    /// Asks the server what it is.
    ///
    /// # Errors
    /// Where it cannot be reached, or does not speak this era.
    pub(crate) async fn discover(&self, profile: &Profile) -> Result<Hello> {
        let message = own(request(
            "0",
            method::DISCOVER,
            Some(&handshake::discover_params(profile)),
        ));
        let extra = headers(method::DISCOVER, None);
        let reply = self.post(&message.into_bytes(), &extra).await?;
        let response = reply.response().await?;
        handshake::discovered(&response).map_err(|error| self.http.placed(error))
    }

    /// Sends a request and waits for the first that comes back. The body goes as it is, apart from a name.
    ///
    /// # Cancel safety
    /// Dropping the future, or the reply, closes the stream, which cancels the request.
    pub(crate) async fn request(&self, outgoing: &Outgoing<'_>) -> Result<Reply> {
        let mut edits = Cow::Borrowed(outgoing.edits);
        era::request(outgoing, &mut edits, Era::Modern, version::LATEST_MODERN);
        let mut extra = headers(outgoing.message.method(), outgoing.name);
        for (name, value) in outgoing.headers {
            extra.push(name, value);
        }
        let body = edits.apply(outgoing.message.bytes());
        let reply = self.post(&body, &extra).await?;
        Ok(era::reply(
            reply,
            Era::Modern,
            outgoing.era,
            outgoing.message.method(),
            &self.http.place,
        ))
    }

    /// Posts a request; once more where the server refuses a version that it says it speaks.
    async fn post(&self, body: &Bytes, lines: &Lines) -> Result<Reply> {
        let mut again = false;
        loop {
            let exchange = self.http.exchange(Verb::Post, body, lines).await?;
            let (status, mut exchange) = (exchange.head.status, Some(exchange));
            let reply = match self.http.answer(&mut exchange, None).await? {
                Answer::Reply(reply) => reply,
                Answer::NotFound(Some(response)) => Reply::ready(response),
                Answer::NotFound(None) => return Err(self.http.status(status)),
            };
            match reply.into_ready() {
                Ok(response) if !again && speaks_it_after_all(&response) => again = true,
                Ok(response) => return Ok(Reply::ready(response)),
                Err(stream) => return Ok(stream),
            }
        }
    }
}

/// Whether a server refuses our version and yet names it among those that it speaks.
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

fn headers(method: &str, name: Option<&str>) -> Lines {
    const LATEST: HeaderValue = HeaderValue::from_static(version::LATEST_MODERN);
    let mut lines = Lines::default();
    lines.push(&VERSION, &LATEST);
    lines.push(&METHOD, &header_value::encode(method));
    if let Some(name) = name {
        lines.push(&NAME, &header_value::encode(name));
    }
    lines
}
