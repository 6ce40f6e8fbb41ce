//! TLS configuration: trusted certificate authorities and client certificates.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::{OnceCell, Semaphore};

use super::error::ConnectorError;
use crate::limits::MAX_CONFIG_FILE_LEN;
use crate::{files, tls};

/// A client certificate and the hosts that it is presented to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Host names, or `*.example.com` for every name below `example.com`.
    pub hosts: Vec<String>,
    /// A PEM file with the certificate and its intermediates.
    pub certificate: PathBuf,
    /// A PEM file with its private key.
    pub key: PathBuf,
}

/// TLS configurations, each loaded when it is first needed.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    authorities: Option<PathBuf>,
    roots: OnceCell<Arc<RootCertStore>>,
    /// The configuration without a client certificate.
    anonymous: OnceCell<Arc<ClientConfig>>,
    identities: Vec<Arc<Identity>>,
}

#[derive(Debug)]
struct Identity {
    files: ClientCertificate,
    /// Permits one read at a time: connections that wait for slow files occupy no threads.
    reads: Arc<Semaphore>,
    loaded: Mutex<Option<Loaded>>,
}

/// A configuration and the modification times of its files. A renewed certificate is used from the next connection
/// on.
#[derive(Clone, Debug)]
struct Loaded {
    changed: [Option<SystemTime>; 2],
    config: Arc<ClientConfig>,
}

impl Certificates {
    pub(super) fn new(authorities: Option<PathBuf>, identities: Vec<ClientCertificate>) -> Self {
        Self {
            authorities,
            identities: identities
                .into_iter()
                .map(|files| Arc::new(Identity::new(files)))
                .collect(),
            ..Self::default()
        }
    }

    /// Returns the TLS configuration for a host. Errors are not cached, so a corrected file is picked up.
    pub(super) async fn config(&self, host: &str) -> Result<Arc<ClientConfig>, ConnectorError> {
        let identity = self.identities.iter().find(|it| it.is_for(host));
        let Some(identity) = identity else {
            let load = || async { config(&*self.roots().await?, None) };
            return Ok(Arc::clone(self.anonymous.get_or_try_init(load).await?));
        };
        let (roots, identity) = (self.roots().await?, Arc::clone(identity));
        let permit = Arc::clone(&identity.reads).acquire_owned().await;
        let permit = permit.map_err(|_| ConnectorError::Cancelled)?;
        tokio::task::spawn_blocking(move || {
            let config = identity.config(&roots);
            drop(permit);
            config
        })
        .await
        .map_err(|_| ConnectorError::Cancelled)?
    }

    async fn roots(&self) -> Result<Arc<RootCertStore>, ConnectorError> {
        let load = || async {
            let extra = self.authorities.clone();
            tokio::task::spawn_blocking(move || roots(extra.as_deref()).map(Arc::new))
                .await
                .map_err(|_| ConnectorError::Cancelled)?
        };
        Ok(Arc::clone(self.roots.get_or_try_init(load).await?))
    }
}

impl Identity {
    fn new(files: ClientCertificate) -> Self {
        Self {
            files,
            reads: Arc::new(Semaphore::new(1)),
            loaded: Mutex::default(),
        }
    }

    fn is_for(&self, host: &str) -> bool {
        self.files.hosts.iter().any(|known| {
            known.strip_prefix("*.").map_or_else(
                || known.eq_ignore_ascii_case(host),
                |domain| {
                    let split = host.len().checked_sub(domain.len());
                    split.is_some_and(|at| {
                        at > 1
                            && host.as_bytes()[at - 1] == b'.'
                            && host.as_bytes()[at..].eq_ignore_ascii_case(domain.as_bytes())
                    })
                },
            )
        })
    }

    /// Returns the configuration for the current files. Blocks on the file system.
    fn config(&self, roots: &RootCertStore) -> Result<Arc<ClientConfig>, ConnectorError> {
        let changed = |path: &Path| std::fs::metadata(path).and_then(|it| it.modified()).ok();
        let changed = [changed(&self.files.certificate), changed(&self.files.key)];
        let mut loaded = self.loaded.lock();
        if let Some(loaded) = loaded.as_ref().filter(|loaded| loaded.changed == changed) {
            return Ok(Arc::clone(&loaded.config));
        }
        let config = config(roots, Some(&self.files))?;
        *loaded = Some(Loaded {
            changed,
            config: Arc::clone(&config),
        });
        Ok(config)
    }
}

fn roots(extra: Option<&Path>) -> Result<RootCertStore, ConnectorError> {
    let (mut roots, error) = tls::system_roots();
    if let Some(path) = extra {
        const WHAT: &str = "certificate authorities";
        for certificate in certificates(WHAT, path)? {
            roots
                .add(certificate)
                .map_err(|error| file(WHAT, path, &error))?;
        }
    }
    if roots.is_empty() {
        let why = error.map(|error| format!(" ({error})")).unwrap_or_default();
        return Err(ConnectorError::NoAuthority(why));
    }
    Ok(roots)
}

fn config(
    roots: &RootCertStore,
    identity: Option<&ClientCertificate>,
) -> Result<Arc<ClientConfig>, ConnectorError> {
    let builder = tls::client()?.with_root_certificates(roots.clone());
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(named) => {
            let chain = certificates("client certificate", &named.certificate)?;
            let wrong = |error: &dyn std::fmt::Display| {
                file("key of the client certificate", &named.key, error)
            };
            let key = files::read(&named.key, MAX_CONFIG_FILE_LEN).map_err(|e| wrong(&e))?;
            let key = PrivateKeyDer::from_pem_slice(&key).map_err(|e| wrong(&e))?;
            builder.with_client_auth_cert(chain, key)?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(
    what: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, ConnectorError> {
    let pem = files::read(path, MAX_CONFIG_FILE_LEN).map_err(|error| file(what, path, &error))?;
    let certificates = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| file(what, path, &error))?;
    if certificates.is_empty() {
        return Err(file(what, path, &"it holds no certificate"));
    }
    Ok(certificates)
}

fn file(what: &'static str, path: &Path, why: &dyn std::fmt::Display) -> ConnectorError {
    ConnectorError::File {
        what,
        path: path.display().to_string(),
        why: why.to_string(),
    }
}
