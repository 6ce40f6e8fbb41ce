//! Outbound connections: proxies, certificate authorities and client certificates, in one place for remote servers,
//! OAuth issuers and the control client.

mod certificates;
mod error;
mod proxy;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use self::certificates::Certificates;
pub use self::certificates::ClientCertificate;
pub use self::error::ConnectorError;
pub use self::proxy::{InvalidProxy, Proxies};
use crate::connect::{BoxedIo, TcpConnect, connect_any};
use crate::limits::OUTBOUND_TLS_TIMEOUT;

/// Opens outbound connections.
///
/// Clones share the loaded certificates.
#[derive(Clone, Debug, Default)]
pub struct Connector(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    certificates: Certificates,
    proxies: Proxies,
}

/// Settings of a [`Connector`]. The default trusts the certificate authorities of the system (or of `SSL_CERT_FILE`)
/// and takes proxies from the environment.
#[derive(Clone, Debug, Default)]
pub struct ConnectorOptions {
    /// A PEM file of certificate authorities that are trusted in addition to those of the system.
    pub authorities: Option<PathBuf>,
    /// Client certificates. A server is presented the first certificate with a matching entry in `hosts`, and no
    /// other.
    pub client_certificates: Vec<ClientCertificate>,
    /// Which connections go through a proxy.
    pub proxies: Proxies,
}

/// The peer of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Whether to use TLS.
    pub https: bool,
    /// A host name or an address; an IPv6 address has no brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
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
    /// Creates a connector. Certificates are loaded at the first connection that needs them.
    pub fn new(options: ConnectorOptions) -> Self {
        Self(Arc::new(Inner {
            certificates: Certificates::new(options.authorities, options.client_certificates),
            proxies: options.proxies,
        }))
    }

    /// Returns `true` if connections to this target use a proxy, which then resolves the target's name.
    pub fn is_proxied(&self, target: &Target) -> bool {
        self.0.proxies.of(target).is_some()
    }

    /// Loads the certificates for a target, so that a bad file is reported before the first connection.
    ///
    /// # Errors
    /// What is wrong with the certificates. Errors are not cached: the next call loads the files again.
    pub async fn prepare(&self, target: &Target) -> Result<(), ConnectorError> {
        if target.https {
            self.0.certificates.config(&target.host).await?;
            server_name(target)?;
        }
        Ok(())
    }

    /// Connects to the target, through a proxy if one is configured for it, and performs the TLS handshake if the
    /// target uses https.
    ///
    /// # Errors
    /// The error of the system, the proxy or TLS, with the target's host and port. Dropping the future closes the
    /// connection.
    pub async fn connect(&self, target: &Target) -> io::Result<BoxedIo> {
        let stream: BoxedIo = match self.0.proxies.of(target) {
            Some(proxy) => in_time(target, "proxy", proxy.tunnel(target, self)).await?,
            None => Box::new(TcpConnect::new(&target.host, target.port).stream().await?),
        };
        self.secure(target, stream).await
    }

    /// Same as [`connect`](Self::connect), but connects to one of these addresses and never through a proxy. The
    /// caller has checked the addresses.
    ///
    /// # Errors
    /// Same as [`connect`](Self::connect).
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
        in_time(
            target,
            "TLS handshake failed",
            handshake(config, name, stream),
        )
        .await
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
    let connected = TlsConnector::from(config).connect(name, stream).await;
    let stream = connected.map_err(|error| match advice(&error) {
        Some(advice) => io::Error::new(error.kind(), format!("{error}; {advice}")),
        None => error,
    })?;
    Ok(Box::new(stream))
}

/// Returns the next step after a failed TLS handshake.
fn advice(error: &io::Error) -> Option<&'static str> {
    use rustls::{AlertDescription as Alert, CertificateError, Error as Tls};
    Some(match error.get_ref()?.downcast_ref::<Tls>()? {
        Tls::InvalidCertificate(
            CertificateError::UnknownIssuer
            | CertificateError::BadSignature
            | CertificateError::Other(_),
        ) => "trust its authority with `network.ca_file` (--ca-file for a remote gateway)",
        Tls::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "use a host name that its certificate contains",
        Tls::InvalidMessage(_) => {
            "it does not speak TLS; if that is intended, use http:// in its URL"
        }
        Tls::AlertReceived(
            Alert::CertificateRequired | Alert::HandshakeFailure | Alert::BadCertificate,
        ) => "it may require a client certificate: see `network.client_certificates`",
        _ => return None,
    })
}

/// Bounds the duration of a step, and adds the target and the step to its error.
async fn in_time(
    target: &Target,
    step: &str,
    work: impl Future<Output = io::Result<BoxedIo>>,
) -> io::Result<BoxedIo> {
    let done = tokio::time::timeout(OUTBOUND_TLS_TIMEOUT, work).await;
    done.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(|error| io::Error::new(error.kind(), format!("{target}: {step}: {error}")))
}
