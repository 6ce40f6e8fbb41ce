//! The location of a control endpoint: a socket on this machine, or a URL and a token. Each request uses its own
//! connection.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use mcp_orchestrator_core::outbound::{Connector, Target};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use super::error::{ClientError, broken};
use crate::control::listener::PATH;
use crate::control::socket;

/// How long connecting to a remote gateway may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The location of a control endpoint.
#[derive(Clone)]
pub(crate) enum Location {
    Socket(PathBuf),
    Remote(Arc<Remote>),
}

/// A remote gateway.
pub(crate) struct Remote {
    /// The URL as given by the user.
    url: String,
    /// Its authority, as in a `Host` header.
    authority: String,
    target: Target,
    connector: Connector,
    /// Prepended to each path.
    prefix: String,
    token: SecretString,
}

impl Location {
    pub(crate) fn of(state_dir: &Path) -> Self {
        Self::Socket(socket::find(state_dir))
    }

    /// # Errors
    /// If `url` is not the address of a gateway, or a token must not be sent to it.
    pub(crate) fn at(url: &str, token: SecretString, connector: Connector) -> Result<Self, String> {
        let wrong = |why: &str| format!("{url} is no address of a gateway: {why}");
        let uri: Uri = url.parse().map_err(|_| wrong("it is no URL"))?;
        let host = uri.host().ok_or_else(|| wrong("it names no host"))?;
        let local = host == "localhost"
            || host
                .trim_matches(['[', ']'])
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback());
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") if local => false,
            Some("http") => {
                return Err(wrong(
                    "tokens are sent over https only, except to this machine",
                ));
            }
            _ => return Err(wrong("it begins with neither https:// nor http://")),
        };
        if uri.query().is_some() || url.contains('@') {
            return Err(wrong("it holds more than a host and a path"));
        }
        // Users often copy the address of the MCP endpoint; it names the same gateway.
        let path = uri.path().trim_end_matches('/');
        let path = path.strip_suffix("/mcp").unwrap_or(path);
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        Ok(Self::Remote(Arc::new(Remote {
            url: url.to_owned(),
            authority: format!("{host}:{port}"),
            target: Target {
                https,
                host: host.trim_matches(['[', ']']).to_owned(),
                port,
            },
            connector,
            prefix: format!("{path}{PATH}"),
            token,
        })))
    }

    /// Sends a request and returns once the head of the response has arrived, whatever its status.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Exchange, ClientError> {
        let request = Request::builder()
            .method(method)
            .header(header::CONTENT_TYPE, "application/json");
        match self {
            Self::Socket(socket) => {
                let stream = UnixStream::connect(socket).await;
                let stream = stream.map_err(|error| unreached(&socket.display(), &error))?;
                let request = request.uri(path).header(header::HOST, "localhost");
                exchange(stream, request, body).await
            }
            Self::Remote(web) => {
                let request = request
                    .uri(format!("{}{path}", web.prefix))
                    .header(header::HOST, &web.authority)
                    .header(header::AUTHORIZATION, web.bearer()?);
                let connect = web.connector.connect(&web.target);
                let stream = tokio::time::timeout(CONNECT_TIMEOUT, connect)
                    .await
                    .map_err(|_| ClientError::NotRunning(web.url.clone()))?
                    .map_err(|error| unreached(&web.url, &error))?;
                exchange(stream, request, body).await
            }
        }
    }
}

impl Remote {
    fn bearer(&self) -> Result<header::HeaderValue, ClientError> {
        let text = format!("Bearer {}", self.token.expose_secret());
        let value = header::HeaderValue::from_str(&text);
        let mut value = value.map_err(|_| broken("the token holds what no header may hold"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

fn unreached(place: &impl fmt::Display, error: &io::Error) -> ClientError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            ClientError::NotRunning(place.to_string())
        }
        _ => ClientError::Broken(format!("{place}: {error}")),
    }
}

async fn exchange<S>(
    stream: S,
    request: http::request::Builder,
    body: Bytes,
) -> Result<Exchange, ClientError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let mut driver = JoinSet::new();
    driver.spawn(async move {
        // An error of the connection also fails the request, which reports it.
        let _ = connection.await;
    });
    let request = request.body(Full::new(body)).map_err(broken)?;
    let response = sender.send_request(request).await.map_err(broken)?;
    Ok(Exchange {
        response,
        _driver: driver,
    })
}

/// A response that is being received, and its connection.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) response: Response<Incoming>,
    _driver: JoinSet<()>,
}

impl Exchange {
    pub(crate) async fn whole<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        let body = self.response.into_body().collect().await.map_err(broken)?;
        serde_json::from_slice(&body.to_bytes()).map_err(broken)
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => f.debug_tuple("Socket").field(path).finish(),
            Self::Remote(web) => f.debug_tuple("Remote").field(&web.url).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_sent_only_over_tls_or_to_localhost() {
        let at = |url: &str| Location::at(url, SecretString::from("t"), Connector::default());
        for url in [
            "https://mcp.example.com",
            "https://mcp.example.com:8443/tools/",
            "http://127.0.0.1:8080/mcp",
            "http://[::1]:8080",
            "http://localhost",
        ] {
            at(url).unwrap();
        }
        for (url, why) in [
            ("http://mcp.example.com", "over https only"),
            ("ftp://mcp.example.com", "neither https"),
            ("mcp.example.com", "neither https"),
            ("https://ann:pw@mcp.example.com", "more than"),
            ("https://mcp.example.com/?a=b", "more than"),
            ("https://", "no URL"),
        ] {
            let error = at(url).unwrap_err();
            assert!(error.contains(why), "{url}: {error}");
        }
        let Location::Remote(web) = at("https://example.com/tools/mcp").unwrap() else {
            unreachable!()
        };
        assert_eq!(web.prefix, "/tools/control");
        assert_eq!(web.authority, "example.com:443");
        assert!(!format!("{:?}", Location::Remote(web)).contains("\"t\""));
    }
}
