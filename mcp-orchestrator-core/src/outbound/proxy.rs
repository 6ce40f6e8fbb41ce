//! Proxies: which connections use one, and how a tunnel is opened.
//!
//! Every proxied connection is a tunnel, even to http targets, so the proxy sees a host and a port but no credential.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use secrecy::{ExposeSecret as _, SecretString};
use tower_service::Service;

use super::{Connector, Target};
use crate::connect::{BoxedIo, TcpConnect};

/// Selects the connections that use a proxy.
#[derive(Clone)]
pub struct Proxies {
    matcher: Option<Arc<Matcher>>,
}

/// The error for a text that is not the URL of a proxy. The text is not repeated, as it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the URL of a proxy: http://, https://, socks5:// or socks5h://, with a host")]
pub struct InvalidProxy;

impl Proxies {
    /// Reads `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in upper or lower case.
    pub fn from_env() -> Self {
        Self {
            matcher: Some(Arc::new(Matcher::from_env())),
        }
    }

    /// Disables proxies, whatever the environment contains.
    pub fn none() -> Self {
        Self { matcher: None }
    }

    /// Uses one proxy for everything except the hosts in `no_proxy`, which has the format of `NO_PROXY`: names,
    /// domains and networks.
    ///
    /// # Errors
    /// If `url` is not the URL of a proxy.
    pub fn all(url: &SecretString, no_proxy: &str) -> Result<Self, InvalidProxy> {
        let parsed: Uri = url.expose_secret().parse().map_err(|_| InvalidProxy)?;
        let known = matches!(
            parsed.scheme_str(),
            Some("http" | "https" | "socks5" | "socks5h")
        );
        if !known || parsed.host().is_none_or(str::is_empty) {
            return Err(InvalidProxy);
        }
        let matcher = Matcher::builder()
            .all(url.expose_secret().to_owned())
            .no(no_proxy.to_owned())
            .build();
        Ok(Self {
            matcher: Some(Arc::new(matcher)),
        })
    }

    /// Returns the proxy for a target. Loopback targets have none, since a proxy cannot reach this machine's loopback
    /// address.
    pub(super) fn of(&self, target: &Target) -> Option<Proxy> {
        let address = target.host.parse::<std::net::IpAddr>();
        if target.host.eq_ignore_ascii_case("localhost")
            || address.is_ok_and(|address| address.to_canonical().is_loopback())
        {
            return None;
        }
        let scheme = if target.https { "https" } else { "http" };
        let uri: Uri = format!("{scheme}://{target}").parse().ok()?;
        let intercept = self.matcher.as_ref()?.intercept(&uri)?;
        Some(Proxy { intercept, uri })
    }
}

impl Default for Proxies {
    fn default() -> Self {
        Self::from_env()
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URLs are omitted, as they may hold passwords.
        f.debug_struct("Proxies")
            .field("configured", &self.matcher.is_some())
            .finish()
    }
}

/// The proxy for one target.
pub(super) struct Proxy {
    intercept: Intercept,
    uri: Uri,
}

impl Proxy {
    /// Opens a tunnel to the target.
    pub(super) async fn tunnel(
        self,
        target: &Target,
        connector: &Connector,
    ) -> io::Result<BoxedIo> {
        let place = self.intercept.uri().clone();
        let host = place.host().unwrap_or_default().trim_matches(['[', ']']);
        let scheme = place.scheme_str().unwrap_or("http").to_owned();
        let proxy = Target {
            https: scheme == "https",
            host: host.to_owned(),
            port: place.port_u16().unwrap_or(match scheme.as_str() {
                "https" => 443,
                "socks5" | "socks5h" => 1080,
                _ => 80,
            }),
        };
        let open = Open {
            proxy: proxy.clone(),
            connector: connector.clone(),
        };
        // The URI always names the port: the tunnel's default would be 443, even for http.
        let to = self.uri.clone();
        debug_assert_eq!(to.port_u16(), Some(target.port), "the URI names the port");
        let stream = match scheme.as_str() {
            "socks5" | "socks5h" => {
                let mut socks = SocksV5::new(place, open).local_dns(scheme == "socks5");
                if let Some((user, password)) = self.intercept.raw_auth() {
                    socks = socks.with_auth(user.to_owned(), password.to_owned());
                }
                socks.call(to).await.map_err(|error| failed(&proxy, &error))
            }
            _ => {
                let mut tunnel = Tunnel::new(place, open);
                if let Some(auth) = self.intercept.basic_auth() {
                    tunnel = tunnel.with_auth(auth.clone());
                }
                tunnel
                    .call(to)
                    .await
                    .map_err(|error| failed(&proxy, &error))
            }
        };
        Ok(stream?.into_inner())
    }
}

/// Names the proxy by host and port only, since its URL may hold a password.
fn failed(proxy: &Target, error: &dyn std::error::Error) -> io::Error {
    let mut text = format!("{proxy}: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    io::Error::other(text)
}

/// Connects to the proxy itself.
#[derive(Clone)]
struct Open {
    proxy: Target,
    connector: Connector,
}

impl Service<Uri> for Open {
    type Response = TokioIo<BoxedIo>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<BoxedIo>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { proxy, connector } = self.clone();
        Box::pin(async move {
            let tcp = TcpConnect::new(&proxy.host, proxy.port);
            let stream = connector
                .secure(&proxy, Box::new(tcp.stream().await?))
                .await?;
            Ok(TokioIo::new(stream))
        })
    }
}
