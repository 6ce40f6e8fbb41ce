//! Streamable HTTP to a server: requests, sessions of the legacy era, stateless calls of the modern one.

mod background;
mod conversation;
mod detect;
mod legacy_sse;
mod modern;
mod request;
mod response;
mod session;

use std::sync::Arc;

use http::Uri;

use self::background::Janitor;
pub(crate) use self::conversation::Conversation;
pub(crate) use self::legacy_sse::LegacySse;
pub(crate) use self::modern::Modern;
use self::request::connections::{Pool, Repeat, SendError};
use self::request::exchange::{Exchange, is_redirect};
use self::request::headers::{Heads, Lines, Verb};
use self::request::ids::Ids;
pub(crate) use self::session::Session;
use super::{Check, Place};
use crate::error::{Error, ErrorKind, Result};
use crate::jsonrpc::MessageMemory;
use crate::protocol::method;
use crate::runtime::{Connect, HeaderCell};

/// One HTTP endpoint of a server, shared by many sessions.
#[derive(Debug)]
pub(crate) struct Http {
    place: Place,
    heads: Heads,
    /// URL of the endpoint. Redirects to other origins are not followed.
    uri: Uri,
    ids: Ids,
    pool: Arc<Pool>,
    message_bytes: usize,
    /// The memory of the server's messages.
    memory: Arc<MessageMemory>,
    janitor: Janitor,
}

impl Http {
    /// Creates an endpoint for this URL. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If the URL has no host.
    pub(crate) fn new(
        place: Place,
        uri: &Uri,
        connect: Arc<dyn Connect>,
        cell: HeaderCell,
        message_bytes: usize,
    ) -> Result<Self> {
        let authority = uri.authority().map(|authority| authority.as_str());
        let host = authority.map(|text| text.rsplit('@').next().unwrap_or(text));
        let host = host.ok_or_else(|| {
            Error::new(ErrorKind::StartFailed, "the address has no host").with_server(&place.server)
        })?;
        let target = uri.path_and_query().map_or("/", |path| path.as_str());
        let heads = Heads::new(target, host, cell);
        let pool = Arc::new(Pool::new(connect));
        Ok(Self {
            place,
            heads,
            uri: uri.clone(),
            ids: Ids::new(),
            pool,
            message_bytes,
            memory: Arc::default(),
            janitor: Janitor::new(),
        })
    }

    /// Sends a request and waits for the head of its response. Follows redirects within the origin.
    async fn exchange(
        &self,
        verb: Verb,
        body: &[u8],
        more: &Lines,
        (repeat, check): (Repeat, Check<'_>),
    ) -> Result<Exchange> {
        let head = self.heads.of(verb);
        match self
            .pool
            .send(&[head.as_ref(), more.bytes()], body, (repeat, check))
            .await
        {
            Ok((head, lease)) if is_redirect(head.status) => {
                let redirected = Exchange::new(head, lease);
                let again = self.redirected(redirected, verb, body, more, (repeat, check));
                Box::pin(again).await
            }
            Ok((head, lease)) => Ok(Exchange::new(head, lease)),
            Err(error) => Err(self.unreachable(error)),
        }
    }

    /// Closes connections that have been idle too long.
    pub(crate) fn sweep(&self) {
        self.pool.sweep();
    }

    fn unreachable(&self, error: SendError) -> Error {
        if let SendError::Refused(error) = error {
            return error;
        }
        let text = format!("server {} cannot be reached", self.place.server);
        self.placed(Error::new(ErrorKind::Unavailable, text).with_source(error))
    }

    fn placed(&self, error: Error) -> Error {
        error
            .with_server(&self.place.server)
            .with_instance(&self.place.instance)
    }
}

/// Returns whether a request of this method may be sent to its server twice.
fn repeat(method: &str) -> Repeat {
    match method {
        method::TOOLS_LIST
        | method::PROMPTS_LIST
        | method::RESOURCES_LIST
        | method::RESOURCES_TEMPLATES_LIST
        | method::RESOURCES_READ
        | method::PROMPTS_GET
        | method::COMPLETE
        | method::PING
        | method::DISCOVER
        | method::INITIALIZE
        | method::TASKS_GET => Repeat::Harmless,
        _ => Repeat::Never,
    }
}
