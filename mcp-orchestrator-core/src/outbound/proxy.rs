//! Proxies: which connections go through one, and how a tunnel is opened.
//!
//! Every proxied connection is a tunnel, to http targets too: the proxy sees a host and a port, and no credential.

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
use crate::runtime::{BoxedIo, TcpConnect};

/// Which connections go through a proxy.
#[derive(Clone)]
pub struct Proxies {
    matcher: Option<Arc<Matcher>>,
}

/// Why something is not the address of a proxy. Does not repeat it: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the URL of a proxy: http://, https://, socks5:// or socks5h://, with a host")]
pub struct InvalidProxy;

impl Proxies {
    /// As `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say, in capitals or small letters.
    pub fn from_env() -> Self {
        Self {
            matcher: Some(Arc::new(Matcher::from_env())),
        }
    }

    /// None, whatever the environment says.
    pub fn none() -> Self {
        Self { matcher: None }
    }

    /// This one for everything, except for hosts that `no_proxy` lists (as `NO_PROXY` does: names, domains, networks).
    ///
    /// # Errors
    /// It is not the URL of a proxy.
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

    /// The proxy for a target. Loopback targets have none: what this machine serves, a proxy cannot reach.
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
        // Without addresses: they may hold passwords.
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
    /// A tunnel to the target.
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
        // An https target's port is said always; the default of the tunnel would be 443 for http as well.
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

/// Names the proxy, without what its URL may hold besides.
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
