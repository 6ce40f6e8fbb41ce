//! Why a connection cannot be set up.

use crate::error::{Error, ErrorKind};

/// Why TLS or a proxy cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectorError {
    /// No certificate authority is trusted.
    #[error(
        "no certificate authority was found on this system: install its ca-certificates, or set SSL_CERT_FILE{0}"
    )]
    NoAuthority(String),
    /// A file cannot be read.
    #[error("cannot read {what} {path}: {why}")]
    File {
        /// What the file should hold.
        what: &'static str,
        /// The path of the file.
        path: String,
        /// The reason given by the system or the parser.
        why: String,
    },
    /// The TLS library rejects the configuration.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The host is not a valid name for a certificate.
    #[error("no certificate can name the host {0:?}")]
    Host(String),
    /// The runtime is shutting down.
    #[error("loading certificates was cancelled")]
    Cancelled,
}

impl From<ConnectorError> for Error {
    fn from(error: ConnectorError) -> Self {
        Self::new(ErrorKind::StartFailed, error.to_string())
    }
}
