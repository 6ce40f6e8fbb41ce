//! Connections to other machines: proxies, certificate authorities and client certificates, set up in one place for remote
//! servers, OAuth issuers and the control client.

mod certificates;
mod proxy;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use self::certificates::Certificates;
pub use self::certificates::ClientCertificate;
pub use self::proxy::{InvalidProxy, Proxies};
use crate::error::{Error, ErrorKind};
use crate::runtime::{BoxedIo, TcpConnect, connect_any};

/// For a TLS handshake, and for the exchange with a proxy.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);

/// How connections leave this machine.
///
/// A clone shares the loaded certificates.
#[derive(Clone, Debug, Default)]
pub struct Connector(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    certificates: Certificates,
    proxies: Proxies,
}

/// Settings of a [`Connector`]. The default trusts the certificate authorities of the system (or of `SSL_CERT_FILE`) and
/// takes proxies from the environment.
#[derive(Clone, Debug, Default)]
pub struct ConnectorOptions {
    /// A PEM file of certificate authorities that are trusted beside those of the system.
    pub authorities: Option<PathBuf>,
    /// Client certificates; the first one for a host is presented to it, and to no other host.
    pub client_certificates: Vec<ClientCertificate>,
    /// Which connections go through a proxy.
    pub proxies: Proxies,
}

/// The peer of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Whether TLS is spoken.
    pub https: bool,
    /// A name or an address, an IPv6 one without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Why TLS or a proxy cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// There is nobody to trust.
    #[error(
        "no certificate authority was found on this system: install its ca-certificates, or set SSL_CERT_FILE{0}"
    )]
    NoAuthority(String),
    /// A file cannot be read.
    #[error("cannot read {what} {path}: {why}")]
    File {
        /// What it should hold.
        what: &'static str,
        /// The file.
        path: String,
        /// The system's or the parser's reason.
        why: String,
    },
    /// The TLS library refuses the set-up.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// A host that no certificate can name.
    #[error("no certificate can name the host {0:?}")]
    Host(String),
    /// The runtime shuts down.
    #[error("loading certificates was cancelled")]
    Cancelled,
}

impl From<ConnectorError> for Error {
    fn from(error: ConnectorError) -> Self {
        Self::new(ErrorKind::StartFailed, error.to_string())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Connector {
    /// Certificates are loaded at the first connection that needs them.
    pub fn new(options: ConnectorOptions) -> Self {
        Self(Arc::new(Inner {
            certificates: Certificates::new(options.authorities, options.client_certificates),
            proxies: options.proxies,
        }))
    }

    /// Whether connections to this target go through a proxy, which then resolves its name.
    pub fn is_proxied(&self, target: &Target) -> bool {
        self.0.proxies.of(target).is_some()
    }

    /// Loads the certificates for a target, so that a wrong file shows before the first connection.
    ///
    /// # Errors
    /// What is wrong with them. An error is not kept: the next call loads them again.
    pub async fn prepare(&self, target: &Target) -> Result<(), ConnectorError> {
        if target.https {
            self.0.certificates.config(&target.host).await?;
            server_name(target)?;
        }
        Ok(())
    }

    /// Connects, by way of the proxy for this target if there is one, and speaks TLS with an https target.
    ///
    /// # Errors
    /// The system's, the proxy's or TLS's own, with host and port. Dropping the future closes the connection.
    pub async fn connect(&self, target: &Target) -> io::Result<BoxedIo> {
        let stream: BoxedIo = match self.0.proxies.of(target) {
            Some(proxy) => in_time(target, "proxy", proxy.tunnel(target, self)).await?,
            None => Box::new(TcpConnect::new(&target.host, target.port).stream().await?),
        };
        self.secure(target, stream).await
    }

    /// As [`connect`](Self::connect), to one of these addresses of the target and never through a proxy: the caller has
    /// checked them.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_to(
        &self,
        target: &Target,
        addresses: Vec<SocketAddr>,
    ) -> io::Result<BoxedIo> {
        let stream = connect_any(addresses).await?;
        self.secure(target, Box::new(stream)).await
    }

    async fn secure(&self, target: &Target, stream: BoxedIo) -> io::Result<BoxedIo> {
        if !target.https {
            return Ok(stream);
        }
        let config = self.0.certificates.config(&target.host).await;
        let config = config.map_err(io::Error::other)?;
        let name = server_name(target).map_err(io::Error::other)?;
        in_time(target, "TLS handshake", handshake(config, name, stream)).await
    }
}

fn server_name(target: &Target) -> Result<ServerName<'static>, ConnectorError> {
    ServerName::try_from(target.host.clone()).map_err(|_| ConnectorError::Host(target.host.clone()))
}

async fn handshake(
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    stream: BoxedIo,
) -> io::Result<BoxedIo> {
    let stream = TlsConnector::from(config).connect(name, stream).await?;
    Ok(Box::new(stream))
}

/// Bounds a step and names the target and the step in its error.
async fn in_time(
    target: &Target,
    step: &str,
    work: impl Future<Output = io::Result<BoxedIo>>,
) -> io::Result<BoxedIo> {
    let done = tokio::time::timeout(HANDSHAKE_TIMEOUT, work).await;
    done.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(|error| io::Error::new(error.kind(), format!("{target}: {step}: {error}")))
}
