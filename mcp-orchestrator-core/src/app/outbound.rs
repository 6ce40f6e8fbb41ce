//! Makes the connector of outbound connections.

use crate::config::{OutboundSettings, ProxySettings};
use crate::outbound::{ClientCertificate, Connector, ConnectorOptions, Proxies};

impl OutboundSettings {
    /// Returns a connector with these settings.
    pub fn connector(&self) -> Connector {
        let certificates = self
            .client_certificates
            .iter()
            .map(|one| ClientCertificate {
                hosts: one.hosts.clone(),
                certificate: one.certificate.clone(),
                key: one.key.clone(),
            });
        Connector::new(ConnectorOptions {
            authorities: self.authorities.clone(),
            client_certificates: certificates.collect(),
            proxies: match &self.proxy {
                ProxySettings::Environment => Proxies::from_env(),
                ProxySettings::None => Proxies::none(),
                // The URL was validated when the file was read.
                ProxySettings::All { url, no_proxy } => {
                    Proxies::all(url, no_proxy).unwrap_or_default()
                }
            },
        })
    }
}
