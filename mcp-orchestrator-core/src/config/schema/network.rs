//! File entries of outbound connections.
//!
//! The doc comments become the descriptions in the JSON Schema.

use schemars::JsonSchema;
use serde::Deserialize;

use super::value::Typed;

/// Outbound connections of the gateway, and the private addresses that others may direct it to.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct NetworkEntry {
    /// Private addresses, and addresses without TLS, that a server or an issuer may direct the gateway to: origins
    /// (`https://idp.corp.example:8443`), hosts (`idp.internal`) or networks (`10.1.0.0/16`). Addresses in the
    /// configuration itself need no entry. Default: none.
    pub allow_private: Option<Vec<Typed>>,
    /// Proxy for connections to remote servers and issuers: a URL with `http://`, `https://`, `socks5://` or
    /// `socks5h://`, or `none` for no proxy. Connections to this machine never use a proxy. Default: taken from
    /// `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`.
    pub proxy: Option<Typed>,
    /// Hosts, domains and networks that are reached without `proxy`.
    pub no_proxy: Option<Vec<Typed>>,
    /// PEM file of certificate authorities to trust in addition to those of the system.
    pub ca_file: Option<Typed>,
    /// Client certificates for remote servers and issuers that request one.
    pub client_certificates: Option<Vec<ClientCertificateEntry>>,
}

/// A client certificate and the hosts that it is presented to. It is presented to no other host.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ClientCertificateEntry {
    /// Host names, or `*.example.com` for every name below `example.com`.
    pub hosts: Option<Vec<Typed>>,
    /// PEM file of the certificate and its intermediate certificates.
    pub certificate: Option<Typed>,
    /// PEM file of the private key.
    pub key: Option<Typed>,
}
