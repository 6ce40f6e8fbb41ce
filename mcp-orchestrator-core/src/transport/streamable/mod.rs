//! Streamable HTTP towards a server: requests, sessions of the legacy era, stateless calls of the modern one.

mod exchange;
mod general;
mod guard;
mod janitor;
mod legacy_sse;
mod modern;
mod pool;
mod reply;
mod session;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;

use self::exchange::Exchange;
use self::janitor::Janitor;
pub(crate) use self::modern::Modern;
use self::pool::{Pool, SendError};
pub(crate) use self::session::Session;
use super::Place;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::{Connect, HeaderCell};

/// One HTTP endpoint of a server; many conversations share it.
#[derive(Debug)]
pub(crate) struct Http {
    place: Place,
    target: Uri,
    host: HeaderValue,
    cell: HeaderCell,
    pool: Arc<Pool>,
    message_bytes: usize,
    janitor: Janitor,
}

/// What a request adds to the headers that all have.
pub(super) type Extra = Vec<(http::HeaderName, HeaderValue)>;

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
        let host = host
            .and_then(|host| HeaderValue::from_str(host).ok())
            .ok_or_else(|| {
                Error::new(ErrorKind::StartFailed, "the address has no host")
                    .with_server(&place.server)
            })?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let target = path.parse().unwrap_or_else(|_| Uri::from_static("/"));
        let pool = Arc::new(Pool::new(connect));
        Ok(Self {
            place,
            target,
            host,
            cell,
            pool,
            message_bytes,
            janitor: Janitor::new(),
        })
    }

    /// Sends a request and waits for the head of its response.
    async fn exchange(&self, method: Method, body: Bytes, extra: Extra) -> Result<Exchange> {
        let mut request = Request::new(Full::new(body));
        *request.uri_mut() = self.target.clone();
        *request.headers_mut() = self.headers(&method, extra);
        *request.method_mut() = method;
        match self.pool.send(request).await {
            Ok((response, lease)) => Ok(Exchange::new(response, lease)),
            Err(error) => Err(self.unreachable(error)),
        }
    }

    fn headers(&self, method: &Method, extra: Extra) -> HeaderMap {
        const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
        const JSON: HeaderValue = HeaderValue::from_static("application/json");
        const STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
        const AGENT: HeaderValue =
            HeaderValue::from_static(concat!("mcp-orchestrator/", env!("CARGO_PKG_VERSION")));
        let cell = self.cell.get();
        let mut headers = HeaderMap::with_capacity(cell.len() + extra.len() + 4);
        headers.insert(HOST, self.host.clone());
        headers.insert(USER_AGENT, AGENT);
        if *method == Method::POST {
            headers.insert(CONTENT_TYPE, JSON);
            headers.insert(ACCEPT, BOTH);
        } else {
            headers.insert(ACCEPT, STREAM);
        }
        for (name, value) in cell.iter() {
            headers.insert(name.clone(), value.clone());
        }
        // What belongs to the protocol is not for a configured header to replace.
        for (name, value) in extra {
            headers.insert(name, value);
        }
        headers
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
