//! Resolves how outbound connections are made (`network`).

use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};

use super::check;
use super::file::{File, Typed};
use super::file_oauth::{ClientCertificateEntry, NetworkEntry};
use super::scope::Scope;

/// Settings of outbound connections: proxy, certificate authorities and client certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

impl OutboundSettings {
    /// Returns the settings of a file, or `None` if it contains none.
    pub(super) fn take(scope: &mut Scope<'_>, file: &File) -> Option<Self> {
        let entry = file.network.as_ref()?;
        let said = entry.ca_file.is_some()
            || entry.client_certificates.is_some()
            || entry.proxy.is_some()
            || entry.no_proxy.is_some();
        if !said {
            return None;
        }
        let path = scope.path.key("network");
        let mut scope = scope.below(path);
        let authorities = readable(&mut scope, "ca_file", entry.ca_file.as_ref());
        let typed = entry.client_certificates.iter().flatten().enumerate();
        let mut client_certificates = Vec::new();
        for (index, typed) in typed {
            let path = scope.path.key("client_certificates").index(index);
            client_certificates.extend(certificate(&mut scope.below(path), typed));
        }
        Some(Self {
            authorities,
            client_certificates,
            proxy: proxy(&mut scope, entry),
        })
    }

    /// Returns a connector with these settings.
    #[cfg(feature = "outbound")]
    pub fn connector(&self) -> crate::outbound::Connector {
        use crate::outbound::{ClientCertificate, Connector, ConnectorOptions, Proxies};
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

fn certificate(
    scope: &mut Scope<'_>,
    entry: &ClientCertificateEntry,
) -> Option<ClientCertificateSettings> {
    let mut hosts = Vec::new();
    for (index, typed) in entry.hosts.iter().flatten().enumerate() {
        let path = scope.path.key("hosts").index(index);
        let Some(text) = scope.text(&path, typed, None) else {
            continue;
        };
        let name = text.expose();
        let checked = check::host(name.strip_prefix("*.").unwrap_or(name));
        if scope.check(&path, checked).is_some() {
            hosts.push(name.to_owned());
        }
    }
    if hosts.is_empty() && !scope.is_wrong("hosts") {
        scope.wrong(
            "",
            "`hosts` is missing: list the hosts that this certificate is presented to",
        );
    }
    for (key, typed) in [("certificate", &entry.certificate), ("key", &entry.key)] {
        if typed.is_none() {
            scope.wrong("", format!("`{key}` is missing: name a PEM file"));
        }
    }
    let certificate = readable(scope, "certificate", entry.certificate.as_ref());
    let key = readable(scope, "key", entry.key.as_ref());
    Some(ClientCertificateSettings {
        hosts,
        certificate: certificate?,
        key: key?,
    })
}

fn readable(scope: &mut Scope<'_>, key: &str, typed: Option<&Typed>) -> Option<PathBuf> {
    let file = scope.plain(key, typed)?;
    let file = scope.source.resolve(&file);
    if !file.is_file() {
        scope.notice(key, format!("{} is not a file", file.display()));
    }
    Some(file)
}

fn proxy(scope: &mut Scope<'_>, entry: &NetworkEntry) -> ProxySettings {
    let no_proxy = match &entry.no_proxy {
        None => Vec::new(),
        Some(typed) => {
            let mut listed = Vec::new();
            for (index, typed) in typed.iter().enumerate() {
                let path = scope.path.key("no_proxy").index(index);
                listed.extend(scope.text(&path, typed, None));
            }
            listed
        }
    };
    let Some(typed) = &entry.proxy else {
        if entry.no_proxy.is_some() {
            scope.wrong(
                "no_proxy",
                "it belongs to `proxy`, which is missing; for proxies of the environment set NO_PROXY",
            );
        }
        return ProxySettings::Environment;
    };
    let path = scope.path.key("proxy");
    let Some(text) = scope.text(&path, typed, None) else {
        return ProxySettings::Environment;
    };
    if text.expose() == "none" {
        return ProxySettings::None;
    }
    let url = SecretString::from(text.expose().to_owned());
    let no_proxy: Vec<&str> = no_proxy.iter().map(crate::value::Text::expose).collect();
    let no_proxy = no_proxy.join(",");
    #[cfg(feature = "outbound")]
    if let Err(error) = crate::outbound::Proxies::all(&url, &no_proxy) {
        scope.wrong_at(&path, format!("{error}, or `none`"));
        return ProxySettings::Environment;
    }
    ProxySettings::All { url, no_proxy }
}
