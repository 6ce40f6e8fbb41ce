//! The TLS client set-up that all outgoing connections share: one crypto provider, and the certificate authorities of
//! the operating system.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

/// Returns the crypto provider. It is passed explicitly, because an embedding program may have installed a different
/// one for the process, or none.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Starts the configuration of a client.
///
/// # Errors
/// If the provider supports none of the default protocol versions.
pub(crate) fn client() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, rustls::Error> {
    ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()
}

/// Returns the certificate authorities of the operating system, and the first error if some could not be read.
pub(crate) fn system_roots() -> (RootCertStore, Option<rustls_native_certs::Error>) {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(native.certs);
    (roots, native.errors.into_iter().next())
}
