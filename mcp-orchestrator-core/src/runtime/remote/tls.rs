//! TLS to remote servers: rustls with its own provider, so that nothing global is installed.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

use crate::error::{Error, ErrorKind, Result};
use crate::runtime::{BoxedIo, Connect, TcpConnect};

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);

/// Whom we trust: the system's certificate authorities and those of one more file. Loaded at the first use.
#[derive(Debug, Default)]
pub(super) struct Trust {
    extra: Option<PathBuf>,
    config: OnceCell<Arc<ClientConfig>>,
}

/// Why there is nobody to trust.
#[derive(Debug, thiserror::Error)]
enum TrustError {
    #[error(
        "no certificate authority was found on this system: install its ca-certificates, or name a file by SSL_CERT_FILE{0}"
    )]
    None(String),
    #[error("certificate file {0} cannot be read: {1}")]
    File(String, String),
    #[error("certificate file {0} holds no certificate")]
    Empty(String),
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    #[error("loading certificates was broken off")]
    BrokenOff,
}

impl From<TrustError> for Error {
    fn from(error: TrustError) -> Self {
        Self::new(ErrorKind::StartFailed, error.to_string())
    }
}

impl Trust {
    pub(super) fn new(extra: Option<PathBuf>) -> Self {
        Self {
            extra,
            config: OnceCell::new(),
        }
    }

    /// How TLS is spoken; an error is not kept, so what was mended is seen.
    pub(super) async fn config(&self) -> Result<Arc<ClientConfig>> {
        let load = || async {
            let extra = self.extra.clone();
            let roots = tokio::task::spawn_blocking(move || roots(extra.as_deref())).await;
            client_config(roots.map_err(|_| TrustError::BrokenOff)??)
        };
        Ok(Arc::clone(self.config.get_or_try_init(load).await?))
    }
}

fn roots(extra: Option<&std::path::Path>) -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(native.certs);
    if let Some(path) = extra {
        let name = || path.display().to_string();
        let certificates = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| TrustError::File(name(), error.to_string()))?;
        if certificates.is_empty() {
            return Err(TrustError::Empty(name()));
        }
        for certificate in certificates {
            roots
                .add(certificate)
                .map_err(|error| TrustError::File(name(), error.to_string()))?;
        }
    }
    if roots.is_empty() {
        let first = native.errors.first();
        let why = first.map(|error| format!(" ({error})")).unwrap_or_default();
        return Err(TrustError::None(why));
    }
    Ok(roots)
}

fn client_config(roots: RootCertStore) -> Result<Arc<ClientConfig>, TrustError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Connects by TCP and TLS.
pub(super) struct TlsConnect {
    tcp: TcpConnect,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
}

impl TlsConnect {
    /// Connects there; `None` where the host is no name that a certificate could hold.
    pub(super) fn new(tcp: TcpConnect, config: Arc<ClientConfig>) -> Option<Self> {
        let name = ServerName::try_from(tcp.host().to_owned()).ok()?;
        Some(Self { tcp, name, config })
    }
}

impl fmt::Debug for TlsConnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TlsConnect({})", self.tcp)
    }
}

#[async_trait]
impl Connect for TlsConnect {
    async fn connect(&self) -> io::Result<BoxedIo> {
        let tcp = self.tcp.stream().await?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let handshake = connector.connect(self.name.clone(), tcp);
        let stream = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|error| {
                let message = format!("{}: TLS handshake: {error}", self.tcp);
                io::Error::new(error.kind(), message)
            })?;
        Ok(Box::new(stream))
    }
}
