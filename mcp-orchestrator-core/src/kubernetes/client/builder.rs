//! The Kubernetes client: kube's own layers over a custom connector.
//!
//! kube's TLS set-up would install a crypto provider for the whole process, which a library must not do. The custom
//! connector also bounds every request that is not a watch or a stream, and detects dead connections.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt as _, Either, Full, Limited};
use hyper::rt::{Read, Write};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::rt::TokioExecutor;
use kube::client::retry::RetryPolicy;
use kube::client::{Body, ConfigExt as _};
use kube::{Client, Config};
use rustls::ClientConfig;
use tower::retry::RetryLayer;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt as _};

use super::errors::{AccessError, RequestTimeout};
use super::rejection::causes;
use super::renewal::{Made, Renewal, is_renewable};
use super::{exec, tls};
use crate::limits::MAX_KUBERNETES_ANSWER;

/// Request timeout. For watches and streams it covers only the response head.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// TCP keep-alive: idle time before the first probe, interval between probes, and number of probes.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(20);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;
/// How long sent data may stay unacknowledged.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(35);

/// Creates the client. Must be called in a tokio runtime; blocks while a credential plugin runs.
pub(crate) fn build(config: Config) -> Result<Client, AccessError> {
    let tcp = tcp();
    let Some(proxy) = config.proxy_url.clone() else {
        return stack(tcp, config);
    };
    match proxy.scheme_str() {
        Some("socks5") => stack(SocksV5::new(proxy, tcp), config),
        Some("http") => stack(tunnel(&proxy, tcp), config),
        Some("https") => {
            let over_tls = https(tcp, tls::config(&config)?, None)?;
            stack(tunnel(&proxy, over_tls), config)
        }
        _ => Err(AccessError::Proxy(bare(&proxy))),
    }
}

fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    tcp.set_keepalive(Some(KEEPALIVE_IDLE));
    tcp.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
    tcp.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(USER_TIMEOUT));
    tcp
}

/// Formats a proxy URL without port, user and password.
fn bare(proxy: &Uri) -> String {
    format!(
        "{}://{}",
        proxy.scheme_str().unwrap_or("?"),
        proxy.host().unwrap_or_default()
    )
}

/// Tunnels through a proxy, with the user and password of its URL, if any.
fn tunnel<C>(proxy: &Uri, connector: C) -> Tunnel<C> {
    let tunnel = Tunnel::new(proxy.clone(), connector);
    let user = proxy
        .authority()
        .and_then(|authority| authority.as_str().rsplit_once('@'))
        .map(|(user, _)| unescaped(user));
    let encode = |user| base64::engine::general_purpose::STANDARD.encode::<Vec<u8>>(user);
    let header = user
        .map(encode)
        .and_then(|text| HeaderValue::try_from(format!("Basic {text}")).ok());
    match header {
        Some(header) => tunnel.with_auth(header),
        None => tunnel,
    }
}

/// Decodes percent escapes, such as `%40` to `@`.
fn unescaped(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = |byte: &u8| char::from(*byte).to_digit(16);
        if let (b'%', [high, low, left @ ..]) = (first, after)
            && let (Some(high), Some(low)) = (hex(high), hex(low))
            && let Ok(byte) = u8::try_from(high * 16 + low)
        {
            out.push(byte);
            rest = left;
        } else {
            out.push(*first);
            rest = after;
        }
    }
    out
}

fn https<C>(
    connector: C,
    tls: ClientConfig,
    name: Option<&str>,
) -> Result<HttpsConnector<C>, AccessError> {
    let mut builder = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http();
    if let Some(name) = name {
        let name = name.to_owned().try_into();
        let name = name.map_err(|_| AccessError::Tls("tls-server-name is no name".into()))?;
        builder = builder.with_server_name_resolver(FixedServerNameResolver::new(name));
    }
    Ok(builder.enable_http1().wrap_connector(connector))
}

fn stack<C>(connector: C, config: Config) -> Result<Client, AccessError>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + Read + Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    let namespace = config.default_namespace.clone();
    let renewable = is_renewable(&config.auth_info);
    let renewal = Renewal::new(renewable, move || made(connector.clone(), config.clone()))?;
    let renewal = Arc::new(renewal);
    let bounded = tower::service_fn(move |request: Request<Body>| {
        let renewal = Arc::clone(&renewal);
        async move {
            let lasts = lasts(&request);
            let asked = answer(renewal.send(request), lasts);
            let late = || BoxError::from(RequestTimeout(RESPONSE_TIMEOUT));
            tokio::time::timeout(RESPONSE_TIMEOUT, asked)
                .await
                .unwrap_or_else(|_| Err(late()))
        }
    });
    Ok(Client::new(bounded, namespace))
}

/// Builds a request sender with the current credentials.
fn made<C>(connector: C, mut config: Config) -> Result<Made, AccessError>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + Read + Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    let wrong = |error: kube::Error| AccessError::Credentials(causes(&error));
    let until = exec::authenticate(&mut config.auth_info)?;
    let auth = config.auth_layer().map_err(wrong)?;
    let tls = tls::config(&config)?;
    let connector = https(connector, tls, config.tls_server_name.as_deref())?;
    let hyper: HyperClient<_, Body> = HyperClient::builder(TokioExecutor::new()).build(connector);
    let retry = RetryPolicy::new(Duration::from_millis(200), Duration::from_secs(5), 5, true);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(retry.ok().map(RetryLayer::new))
        .option_layer(auth)
        .layer(config.extra_headers_layer().map_err(wrong)?)
        .map_err(BoxError::from)
        .service(hyper);
    let sender = service.boxed_clone();
    Ok(Made { sender, until })
}

/// Returns `true` if the response is a long-lived stream.
fn lasts(request: &Request<Body>) -> bool {
    let (path, query) = (request.uri().path(), request.uri().query());
    let watches = query.is_some_and(|query| query.split('&').any(|one| one == "watch=true"));
    watches || path.ends_with("/log") || request.headers().contains_key(http::header::UPGRADE)
}

/// Returns the response, with its body fully read unless it is a long-lived stream.
async fn answer<B>(
    asked: impl Future<Output = Result<Response<B>, BoxError>>,
    lasts: bool,
) -> Result<Response<Either<B, Full<Bytes>>>, BoxError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let response = asked.await?;
    if lasts {
        return Ok(response.map(Either::Left));
    }
    let (parts, body) = response.into_parts();
    let bytes = Limited::new(body, MAX_KUBERNETES_ANSWER)
        .collect()
        .await?
        .to_bytes();
    Ok(Response::from_parts(parts, Either::Right(Full::new(bytes))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lived_requests_are_recognized() {
        let request = |uri: &str| Request::get(uri).body(Body::empty()).unwrap();
        assert!(lasts(&request(
            "/api/v1/pods?allowWatchBookmarks=true&watch=true"
        )));
        assert!(lasts(&request("/api/v1/namespaces/a/pods/b/log?")));
        assert!(!lasts(&request("/api/v1/namespaces/a/pods/b")));
        let mut upgrade = request("/api/v1/namespaces/a/pods/b/attach?stdin=true");
        assert!(!lasts(&upgrade));
        let websocket = HeaderValue::from_static("websocket");
        upgrade
            .headers_mut()
            .insert(http::header::UPGRADE, websocket);
        assert!(lasts(&upgrade));
    }

    #[test]
    fn proxy_credentials_are_unescaped_and_never_displayed() {
        assert_eq!(unescaped("user:pa%40ss%3Aword"), b"user:pa@ss:word");
        assert_eq!(unescaped("user:pass%+A%4"), b"user:pass%+A%4");
        let proxy = Uri::from_static("ftp://user:secret@proxy:21");
        assert_eq!(bare(&proxy), "ftp://proxy");
    }
}
