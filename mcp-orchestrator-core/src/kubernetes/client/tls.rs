//! TLS to the cluster: rustls with an explicit crypto provider, so that no process-wide default is installed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use kube::Config;
use kube::config::AuthInfo;
use parking_lot::Mutex;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use secrecy::{ExposeSecret as _, SecretSlice};
use tokio::time::Instant;

use super::errors::AccessError;
use crate::limits::MAX_CONFIG_FILE_LEN;
use crate::{files, tls};

/// How long the CA certificates of a file are used before the file is read again.
const REREAD_INTERVAL: Duration = Duration::from_secs(60);

/// Returns the TLS configuration for this cluster.
pub(crate) fn config(config: &Config) -> Result<ClientConfig, AccessError> {
    let provider = tls::provider();
    let builder = tls::client().map_err(|error| AccessError::Tls(error.to_string()))?;
    let verifier: Arc<dyn ServerCertVerifier> = if config.accept_invalid_certs {
        Arc::new(Unchecked(provider))
    } else if let Some(file) = &config.root_cert_file {
        Arc::new(Rereading::new(file.clone(), provider)?)
    } else {
        checking(roots(config.root_cert.as_deref())?, &provider)?
    };
    let builder = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let Some((chain, key)) = identity(&config.auth_info)? else {
        return Ok(builder.with_no_client_auth());
    };
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| AccessError::Credentials(format!("client certificate: {error}")))
}

type Checking = Arc<WebPkiServerVerifier>;

fn checking(roots: RootCertStore, provider: &Arc<CryptoProvider>) -> Result<Checking, AccessError> {
    WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(provider))
        .build()
        .map_err(|error| AccessError::Tls(format!("certificate authority: {error}")))
}

/// Returns the CA certificates of the kubeconfig, or those of the operating system.
fn roots(named: Option<&[Vec<u8>]>) -> Result<RootCertStore, AccessError> {
    let Some(named) = named else {
        return Ok(tls::system_roots().0);
    };
    let mut roots = RootCertStore::empty();
    for der in named {
        roots
            .add(CertificateDer::from(der.clone()))
            .map_err(|error| AccessError::Tls(format!("certificate-authority: {error}")))?;
    }
    Ok(roots)
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Returns the client certificate of the kubeconfig with its key.
fn identity(auth: &AuthInfo) -> Result<Option<Identity>, AccessError> {
    let key_data = auth.client_key_data.as_ref().map(|key| key.expose_secret());
    let certificate = read(
        "client-certificate",
        auth.client_certificate_data.as_deref(),
        auth.client_certificate.as_deref(),
    )?;
    let key = read("client-key", key_data, auth.client_key.as_deref())?;
    let (certificate, key) = match (certificate, key) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        _ => {
            let text = "client-certificate and client-key belong together, one is missing";
            return Err(AccessError::Credentials(text.into()));
        }
    };
    let wrong = |what: &str| AccessError::Credentials(format!("{what} is no PEM that can be read"));
    let chain = CertificateDer::pem_slice_iter(certificate.expose_secret())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| wrong("client-certificate"))?;
    let key =
        PrivateKeyDer::from_pem_slice(key.expose_secret()).map_err(|_| wrong("client-key"))?;
    Ok(Some((chain, key)))
}

/// Reads a kubeconfig entry that is given inline or as a file.
fn read(
    what: &str,
    data: Option<&str>,
    file: Option<&str>,
) -> Result<Option<SecretSlice<u8>>, AccessError> {
    let wrong = |why: String| AccessError::Credentials(format!("{what}: {why}"));
    let bytes = match (data, file) {
        (Some(data), _) => base64::engine::general_purpose::STANDARD
            .decode(data)
            .map_err(|_| wrong("its data is not base64".into()))?,
        (None, Some(file)) => {
            let bytes = files::read(Path::new(file), MAX_CONFIG_FILE_LEN)
                .map_err(|error| wrong(format!("{file}: {error}")))?;
            bytes.to_vec()
        }
        (None, None) => return Ok(None),
    };
    Ok(Some(bytes.into()))
}

/// Accepts any certificate, as `insecure-skip-tls-verify` requests.
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Verifies against the CA certificates of a file that is read again periodically, because clusters rotate them as
/// they rotate tokens.
struct Rereading {
    file: PathBuf,
    provider: Arc<CryptoProvider>,
    last: Mutex<(Checking, Instant)>,
}

impl Rereading {
    fn new(file: PathBuf, provider: Arc<CryptoProvider>) -> Result<Self, AccessError> {
        let first = Self::load(&file, &provider)?;
        Ok(Self {
            file,
            provider,
            last: Mutex::new((first, Instant::now())),
        })
    }

    fn load(file: &Path, provider: &Arc<CryptoProvider>) -> Result<Checking, AccessError> {
        let wrong = |error: String| AccessError::Tls(format!("{}: {error}", file.display()));
        let mut roots = RootCertStore::empty();
        let pem =
            files::read(file, MAX_CONFIG_FILE_LEN).map_err(|error| wrong(error.to_string()))?;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots
                .add(certificate)
                .map_err(|error| wrong(error.to_string()))?;
        }
        checking(roots, provider)
    }

    fn current(&self) -> Checking {
        let mut last = self.last.lock();
        if last.1.elapsed() >= REREAD_INTERVAL {
            // If the file cannot be read now, the previous certificates stay in use. A pipe would be waited for.
            if self.file.is_file()
                && let Ok(fresh) = Self::load(&self.file, &self.provider)
            {
                last.0 = fresh;
            }
            last.1 = Instant::now();
        }
        Arc::clone(&last.0)
    }
}

impl fmt::Debug for Rereading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rereading({})", self.file.display())
    }
}

impl ServerCertVerifier for Rereading {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.current()
            .verify_server_cert(end, between, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.current()
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.current()
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.current().supported_verify_schemes()
    }
}
