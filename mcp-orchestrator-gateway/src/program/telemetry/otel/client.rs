//! Sends OTLP over HTTP with the connections of this program: its TLS, its proxies, its limits.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use mcp_orchestrator_core::outbound::{Connector, Target};
use opentelemetry_http::{HttpClient, HttpError};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// Maximum time of an export, unless the environment has another one.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum length of a response.
const MAX_RESPONSE_LEN: usize = 64 * 1024;

/// Makes a connection for each export, which is one every few seconds.
#[derive(Debug)]
pub(super) struct OtlpClient {
    connector: Connector,
    runtime: Handle,
    timeout: Duration,
}

impl OtlpClient {
    /// Creates a client. Must be called within a tokio runtime, which makes its connections.
    pub(super) fn new(timeout: Option<Duration>) -> Self {
        Self {
            connector: Connector::default(),
            runtime: Handle::current(),
            timeout: timeout.unwrap_or(TIMEOUT),
        }
    }
}

#[async_trait]
impl HttpClient for OtlpClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // The exporter's thread is outside of the runtime.
        let mut sending = JoinSet::new();
        let (connector, timeout) = (self.connector.clone(), self.timeout);
        let sent = async move {
            let sent = tokio::time::timeout(timeout, send(&connector, request));
            sent.await
                .unwrap_or_else(|_| Err("no response in time".into()))
        };
        sending.spawn_on(sent, &self.runtime);
        match sending.join_next().await {
            Some(Ok(outcome)) => outcome,
            _ => Err("the program is shutting down".into()),
        }
    }
}

async fn send(
    connector: &Connector,
    mut request: Request<Bytes>,
) -> Result<Response<Bytes>, HttpError> {
    let target = target(request.uri())?;
    let authority = request.uri().authority().map(|it| it.as_str().to_owned());
    let host = authority.as_deref().and_then(|it| it.rsplit('@').next());
    let host = HeaderValue::from_str(host.unwrap_or_default())?;
    request.headers_mut().insert(HOST, host);
    let path = request.uri().path_and_query().cloned();
    let path = path.map_or_else(|| Uri::from_static("/"), Uri::from);
    *request.uri_mut() = path;
    connector.prepare(&target).await?;
    let stream = connector.connect(&target).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async {
        let response = sender.send_request(request.map(Full::new)).await?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_RESPONSE_LEN).collect().await?;
        Ok(Response::from_parts(head, body.to_bytes()))
    };
    tokio::pin!(connection, exchange);
    tokio::select! {
        outcome = &mut exchange => outcome,
        ended = &mut connection => {
            ended?;
            // What has arrived is still to be read.
            exchange.await
        }
    }
}

fn target(uri: &Uri) -> Result<Target, HttpError> {
    let https = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err("the endpoint is no http or https URL".into()),
    };
    let host = uri.host().ok_or("the endpoint has no host")?;
    Ok(Target {
        https,
        host: host.trim_matches(['[', ']']).to_owned(),
        port: uri.port_u16().unwrap_or(if https { 443 } else { 80 }),
    })
}
