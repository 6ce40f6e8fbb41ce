//! Settings of outbound connections.

use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};

/// Settings of outbound connections: proxy, certificate authorities and client certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboundSettings {
    /// A PEM file of certificate authorities that are trusted in addition to those of the system.
    pub authorities: Option<PathBuf>,
    /// Client certificates, each for a list of hosts.
    pub client_certificates: Vec<ClientCertificateSettings>,
    /// Which connections use a proxy.
    pub proxy: ProxySettings,
}

/// A client certificate and the hosts to which it is presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificateSettings {
    /// Host names, or patterns such as `*.example.com`.
    pub hosts: Vec<String>,
    /// A PEM file with the certificate chain.
    pub certificate: PathBuf,
    /// A PEM file with the private key.
    pub key: PathBuf,
}

/// Which connections use a proxy.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum ProxySettings {
    /// As the environment variables define.
    #[default]
    Environment,
    /// None.
    None,
    /// All except those to the listed hosts.
    All {
        /// URL of the proxy, which may contain a password.
        url: SecretString,
        /// Exceptions, in the format of `NO_PROXY`.
        no_proxy: String,
    },
}

impl PartialEq for ProxySettings {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Environment, Self::Environment) | (Self::None, Self::None) => true,
            (
                Self::All { url, no_proxy },
                Self::All {
                    url: other_url,
                    no_proxy: other_list,
                },
            ) => url.expose_secret() == other_url.expose_secret() && no_proxy == other_list,
            _ => false,
        }
    }
}

impl Eq for ProxySettings {}
