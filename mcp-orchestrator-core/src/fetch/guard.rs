//! Guards requests to addresses that another party named: only public addresses and configured exceptions are
//! allowed.
//!
//! Otherwise a server or an issuer could make this process send requests that only it can send: to the machine's own
//! ports, the internal network, or a cloud's metadata service.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::auth::Network;
use crate::net::special_use::is_public;

/// Allows public addresses and configured exceptions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressGuard {
    allowed: Vec<AllowedPrivate>,
}

/// An exception: a private address, or a site without TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedPrivate {
    /// An origin: scheme, host and port, such as `https://idp.corp.example:8443`.
    Origin(String),
    /// A host name, at any port, such as `localhost`.
    Host(String),
    /// An address range, such as `10.1.0.0/16`.
    Network(Network),
}

/// The error for a text that is not a valid exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "what is allowed is an origin (https://idp.example.com:8443), a host (idp.internal) or a network (10.1.0.0/16)"
)]
pub struct InvalidAllowed;

impl AddressGuard {
    /// Creates a guard that allows these exceptions in addition to public addresses.
    pub fn new(allowed: impl IntoIterator<Item = AllowedPrivate>) -> Self {
        Self {
            allowed: allowed.into_iter().collect(),
        }
    }

    /// Returns `true` if the origin or the host is allowed by name, whatever it resolves to.
    #[cfg(any(feature = "jwt", feature = "oauth"))]
    pub(crate) fn allows_name(&self, origin: &str, host: &str) -> bool {
        self.allowed.iter().any(|allowed| match allowed {
            AllowedPrivate::Origin(known) => known == origin,
            AllowedPrivate::Host(known) => known.eq_ignore_ascii_case(host),
            AllowedPrivate::Network(_) => false,
        })
    }

    /// Returns `true` if this address is in an allowed network.
    pub fn allows_private(&self, address: IpAddr) -> bool {
        self.allowed.iter().any(
            |allowed| matches!(allowed, AllowedPrivate::Network(network) if network.contains(address)),
        )
    }

    /// Returns `true` if this address may be contacted.
    pub fn allows(&self, address: IpAddr) -> bool {
        is_public(address) || self.allows_private(address)
    }
}

impl FromStr for AllowedPrivate {
    type Err = InvalidAllowed;

    fn from_str(text: &str) -> Result<Self, InvalidAllowed> {
        let text = text.trim();
        if text.contains("://") {
            let uri: http::Uri = text.parse().map_err(|_| InvalidAllowed)?;
            let bare = uri.path() == "/" && uri.query().is_none();
            return match origin_of(&uri) {
                Some(origin) if bare => Ok(Self::Origin(origin)),
                _ => Err(InvalidAllowed),
            };
        }
        if let Ok(network) = text.parse::<Network>() {
            return Ok(Self::Network(network));
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if text.is_empty() || !text.chars().all(is_name) {
            return Err(InvalidAllowed);
        }
        Ok(Self::Host(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for AllowedPrivate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Origin(text) | Self::Host(text) => f.write_str(text),
            Self::Network(network) => network.fmt(f),
        }
    }
}

/// Returns scheme, host and port in normalized form: lower case, and always with the port.
pub(super) fn origin_of(uri: &http::Uri) -> Option<String> {
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let default = match scheme.as_str() {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let authority = uri
        .authority()
        .filter(|authority| !authority.as_str().contains('@'))?;
    let host = authority.host().to_ascii_lowercase();
    if host.is_empty() {
        return None;
    }
    let port = authority.port_u16().unwrap_or(default);
    Some(format!("{scheme}://{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_allowed() {
        let rows = [
            ("1.1.1.1", true),
            ("8.8.8.8", true),
            ("100.63.255.255", true),
            ("172.15.255.255", true),
            ("172.32.0.1", true),
            ("192.167.1.1", true),
            ("2606:4700::1111", true),
            ("64:ff9b::8.8.8.8", true),
            ("::ffff:8.8.8.8", true),
            ("0.0.0.0", false),
            ("10.1.2.3", false),
            ("100.100.100.200", false),
            ("127.0.0.1", false),
            ("127.9.9.9", false),
            ("168.63.129.16", false),
            ("169.254.169.254", false),
            ("172.16.0.1", false),
            ("172.31.255.255", false),
            ("192.0.0.192", false),
            ("192.168.1.1", false),
            ("198.19.0.1", false),
            ("224.0.0.1", false),
            ("240.0.0.1", false),
            ("255.255.255.255", false),
            ("::", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:169.254.169.254", false),
            ("::7f00:1", false),
            ("64:ff9b::10.0.0.1", false),
            ("64:ff9b:1::1", false),
            ("2002:7f00:1::", false),
            ("2002:a00:1::", false),
            ("2001::1", false),
            ("2001:db8::1", false),
            ("fc00::1", false),
            ("fd00:ec2::254", false),
            ("fe80::1", false),
            ("fec0::1", false),
            ("ff02::1", false),
        ];
        let guard = AddressGuard::default();
        for (address, public) in rows {
            let parsed: IpAddr = address.parse().unwrap();
            assert_eq!(guard.allows(parsed), public, "{address}");
        }
    }

    #[test]
    fn allowed_private_entry_is_an_origin_host_or_network() {
        let allowed = |text: &str| text.parse::<AllowedPrivate>();
        let origin = AllowedPrivate::Origin("https://idp.example:443".into());
        assert_eq!(allowed("https://IDP.example/"), Ok(origin));
        assert_eq!(
            allowed("LocalHost"),
            Ok(AllowedPrivate::Host("localhost".into()))
        );
        for text in [
            "",
            "https://a.example/x",
            "ftp://a.example",
            "a b",
            "https://u@a.example",
            "10.0.0.0/64",
        ] {
            assert_eq!(allowed(text), Err(InvalidAllowed), "{text}");
        }
        let guard = AddressGuard::new([allowed("10.1.0.0/16").unwrap()]);
        assert!(guard.allows("10.1.2.3".parse().unwrap()));
        assert!(guard.allows("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!guard.allows("10.2.2.3".parse().unwrap()));
    }
}
