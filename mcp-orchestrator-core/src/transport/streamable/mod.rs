//! Streamable HTTP towards a server: requests, sessions of the legacy era, stateless calls of the modern one.

mod exchange;
mod general;
mod guard;
mod heads;
mod janitor;
mod legacy_sse;
mod modern;
mod pool;
mod reply;
mod session;

use std::sync::Arc;

use http::{StatusCode, Uri};

use self::exchange::Exchange;
use self::heads::{Heads, Lines, Verb};
use self::janitor::Janitor;
pub(crate) use self::modern::Modern;
use self::pool::{Pool, SendError};
pub(crate) use self::session::Session;
use super::Place;
use crate::challenge::Challenge;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::{Connect, HeaderCell};

/// One HTTP endpoint of a server; many conversations share it.
#[derive(Debug)]
pub(crate) struct Http {
    place: Place,
    heads: Heads,
    pool: Arc<Pool>,
    message_bytes: usize,
    janitor: Janitor,
}

impl Http {
    /// An endpoint at this address. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Where the address has no host.
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
            pool,
            message_bytes,
            janitor: Janitor::new(),
        })
    }

    /// Sends a request and waits for the head of its response.
    async fn exchange(&self, verb: Verb, body: &[u8], more: &Lines) -> Result<Exchange> {
        let head = self.heads.of(verb);
        match self.pool.send(&[head.as_ref(), more.bytes()], body).await {
            Ok((head, lease)) => Ok(Exchange::new(head, lease)),
            Err(error) => Err(self.unreachable(error)),
        }
    }

    /// Closes connections that nobody used for long.
    pub(crate) fn sweep(&self) {
        self.pool.sweep();
    }

    fn unreachable(&self, error: SendError) -> Error {
        let text = format!("server {} cannot be reached", self.place.server);
        self.placed(Error::new(ErrorKind::Unavailable, text).with_source(error))
    }

    fn placed(&self, error: Error) -> Error {
        error
            .with_server(&self.place.server)
            .with_instance(&self.place.instance)
    }

    /// The credential was taken, and does not allow enough.
    fn insufficient(&self, challenge: Challenge) -> Error {
        let text = format!(
            "server {} wants a credential that allows more (scope {})",
            self.place.server,
            challenge.scopes.join(" ")
        );
        let error = Error::new(ErrorKind::CredentialInsufficient, text);
        self.placed(error.with_wanted_scopes(challenge.scopes))
    }

    /// What a status says that is neither success nor a JSON-RPC answer.
    fn status(&self, status: StatusCode) -> Error {
        let server = &self.place.server;
        let (kind, text) = match status {
            StatusCode::UNAUTHORIZED => (
                ErrorKind::CredentialRejected,
                format!("server {server} did not accept the credential (HTTP 401)"),
            ),
            StatusCode::FORBIDDEN => (
                ErrorKind::Unavailable,
                format!(
                    "server {server} does not allow this with the credential it got (HTTP 403)"
                ),
            ),
            StatusCode::TOO_MANY_REQUESTS => (
                ErrorKind::Unavailable,
                format!("server {server} limits its callers (HTTP 429)"),
            ),
            status if status.is_server_error() => (
                ErrorKind::Unavailable,
                format!("server {server} answered HTTP {}", status.as_u16()),
            ),
            status => (
                ErrorKind::Protocol,
                format!("server {server} answered HTTP {}", status.as_u16()),
            ),
        };
        self.placed(Error::new(kind, text))
    }
}
