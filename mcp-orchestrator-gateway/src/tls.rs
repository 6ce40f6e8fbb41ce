//! TLS for a listener, with files that may be replaced while it serves. A new certificate is used from the next
//! handshake; open connections are not affected.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mcp_orchestrator_core::files;
use mcp_orchestrator_core::limits::MAX_CONFIG_FILE_LEN;
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::limits::CERTIFICATE_RELOAD_TIMEOUT;

/// How long the files are cached before they are read again.
const RELOAD_INTERVAL: Duration = Duration::from_secs(10);

/// TLS with a certificate and a key from files. Cheap to clone.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    files: Arc<Files>,
}

/// Why TLS cannot be set up with these files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is not PEM.
    #[error("{0} cannot be read: {1}")]
    File(String, String),
    /// The file contains no certificate.
    #[error("{0} holds no certificate")]
    NoCertificate(String),
    /// The key's type is unknown, or it does not match the certificate.
    #[error("the key in {0} cannot be used with the certificate: {1}")]
    Key(String, String),
    /// The TLS library rejected the configuration.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

impl Tls {
    /// Reads a certificate chain and its key, both PEM. The files are read again while serving, at most every ten
    /// seconds. If they cannot be used then, the error is logged and the previous pair stays in use.
    ///
    /// # Errors
    /// If they cannot be used now.
    pub fn from_files(certificate: PathBuf, key: PathBuf) -> Result<Self, TlsError> {
        Self::reading(certificate, key, RELOAD_INTERVAL)
    }

    /// Like [`from_files`](Self::from_files), with files cached for `again`.
    fn reading(certificate: PathBuf, key: PathBuf, again: Duration) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let files = Arc::new(Files::new(certificate, key, Arc::clone(&provider), again)?);
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Files>::clone(&files);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Setup(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            files,
        })
    }

    /// Performs the handshake with a client.
    ///
    /// # Errors
    /// If it fails or times out.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
        timeout: Duration,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let agree = async {
            self.files.refresh().await;
            self.acceptor.accept(stream).await
        };
        let agreed = tokio::time::timeout(timeout, agree).await;
        agreed.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.files.certificate).finish()
    }
}

/// A certificate file and a key file, and their last usable content.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    again: Duration,
    last: Mutex<Last>,
    /// Permits one reload at a time.
    reloads: Arc<Semaphore>,
}

struct Last {
    pair: Arc<CertifiedKey>,
    read: Instant,
    /// The last error since then, so that it is logged once.
    wrong: Option<String>,
}

impl Files {
    fn new(
        certificate: PathBuf,
        key: PathBuf,
        provider: Arc<CryptoProvider>,
        again: Duration,
    ) -> Result<Self, TlsError> {
        let pair = load(&certificate, &key, &provider)?;
        Ok(Self {
            certificate,
            key,
            provider,
            again,
            last: Mutex::new(Last {
                pair,
                read: Instant::now(),
                wrong: None,
            }),
            reloads: Arc::new(Semaphore::new(1)),
        })
    }

    /// Reads the files again if they were cached for long enough. Waits for at most [`CERTIFICATE_RELOAD_TIMEOUT`];
    /// slow files are used by later handshakes.
    async fn refresh(self: &Arc<Self>) {
        if self.last.lock().read.elapsed() < self.again {
            return;
        }
        let Ok(permit) = Arc::clone(&self.reloads).try_acquire_owned() else {
            return;
        };
        let files = Arc::clone(self);
        let reading = tokio::task::spawn_blocking(move || {
            files.reload();
            drop(permit);
        });
        // After the limit, and after a panic, the previous pair is used.
        let _ = tokio::time::timeout(CERTIFICATE_RELOAD_TIMEOUT, reading).await;
    }

    /// Reads the files again. Blocks on the file system.
    fn reload(&self) {
        let loaded = load(&self.certificate, &self.key, &self.provider);
        let mut last = self.last.lock();
        last.read = Instant::now();
        match loaded {
            Ok(pair) => {
                if pair.cert != last.pair.cert {
                    tracing::info!(file = %self.certificate.display(), "a new certificate is used");
                }
                last.pair = pair;
                last.wrong = None;
            }
            Err(error) => {
                let error = error.to_string();
                if last.wrong.as_ref() != Some(&error) {
                    tracing::error!(
                        error,
                        "cannot reload the certificate; the previous one stays in use"
                    );
                }
                last.wrong = Some(error);
            }
        }
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Files({})", self.certificate.display())
    }
}

impl ResolvesServerCert for Files {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.last.lock().pair))
    }
}

fn load(
    certificate: &PathBuf,
    key: &PathBuf,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, TlsError> {
    let name = |file: &PathBuf| file.display().to_string();
    let pem = |file: &PathBuf| {
        files::read(file, MAX_CONFIG_FILE_LEN)
            .map_err(|error| TlsError::File(name(file), error.to_string()))
    };
    let chain = CertificateDer::pem_slice_iter(&pem(certificate)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsError::File(name(certificate), error.to_string()))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(name(certificate)));
    }
    let private = PrivateKeyDer::from_pem_slice(&pem(key)?)
        .map_err(|error| TlsError::File(name(key), error.to_string()))?;
    let pair = CertifiedKey::from_der(chain, private, provider)
        .map_err(|error| TlsError::Key(name(key), error.to_string()))?;
    Ok(Arc::new(pair))
}

#[cfg(test)]
mod tests {
    mod served;

    use std::fs;

    use super::*;

    /// Writes a certificate for this name and its key, and returns the certificate.
    pub(super) fn write(folder: &std::path::Path, name: &str) -> Vec<u8> {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        fs::write(folder.join("tls.crt"), made.cert.pem()).unwrap();
        fs::write(folder.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
        made.cert.der().to_vec()
    }

    fn files(folder: &std::path::Path) -> Files {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
        Files::new(certificate, key, provider, Duration::ZERO).unwrap()
    }

    fn current(files: &Files) -> Arc<CertifiedKey> {
        files.reload();
        Arc::clone(&files.last.lock().pair)
    }

    #[test]
    fn new_certificate_is_used_and_a_broken_one_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let first = write(folder.path(), "one.example");
        let files = files(folder.path());
        assert_eq!(current(&files).cert[0].as_ref(), first);
        let second = write(folder.path(), "two.example");
        assert_eq!(current(&files).cert[0].as_ref(), second);
        // Half of a replacement: the key does not match the certificate.
        let key = fs::read(folder.path().join("tls.key")).unwrap();
        let third = write(folder.path(), "three.example");
        let new_key = fs::read(folder.path().join("tls.key")).unwrap();
        fs::write(folder.path().join("tls.key"), key).unwrap();
        assert_eq!(current(&files).cert[0].as_ref(), second);
        fs::write(folder.path().join("tls.key"), "nonsense").unwrap();
        assert_eq!(current(&files).cert[0].as_ref(), second);
        fs::write(folder.path().join("tls.key"), new_key).unwrap();
        assert_eq!(current(&files).cert[0].as_ref(), third);
    }

    #[test]
    fn unusable_tls_file_is_named_in_the_error() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        let told = || {
            let tls = Tls::from_files(certificate.clone(), key.clone());
            tls.unwrap_err().to_string()
        };
        assert!(told().contains("tls.crt"), "{}", told());
        write(folder.path(), "one.example");
        assert!(Tls::from_files(certificate.clone(), key.clone()).is_ok());
        fs::write(&key, "").unwrap();
        assert!(told().contains("tls.key"), "{}", told());
        fs::write(&certificate, "").unwrap();
        assert!(told().contains("no certificate"), "{}", told());
    }
}
