//! The `X-Forwarded-*` headers of trusted proxies. Those of other peers are ignored.

use std::net::IpAddr;

use http::HeaderMap;
use mcp_orchestrator_core::auth::Network;

/// What a trusted proxy reported about a request. The server inserts it into the request's extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// The address that sent the request to the first of the trusted proxies.
    pub client: IpAddr,
    /// Whether the request reached the proxy over TLS.
    pub https: bool,
    /// The host that the client requested, if the proxy reported it.
    pub host: Option<String>,
}

impl Forwarded {
    /// Reads the headers of a request from `peer`; returns `None` if the peer is not trusted or forwarded nothing.
    ///
    /// Each proxy appends to the list. Reading from its end, trusted addresses are skipped; entries before the first
    /// untrusted one may be forged.
    pub fn read(headers: &HeaderMap, peer: IpAddr, trusted: &[Network]) -> Option<Self> {
        let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
        if !is_trusted(peer) {
            return None;
        }
        let hops = list(headers, "x-forwarded-for");
        let (proto, host) = (
            list(headers, "x-forwarded-proto"),
            list(headers, "x-forwarded-host"),
        );
        if hops.is_empty() && proto.is_empty() && host.is_empty() {
            return None;
        }
        let mut client = peer;
        for hop in hops.iter().rev() {
            let Some(address) = address(hop) else {
                break;
            };
            client = address;
            if !is_trusted(address) {
                break;
            }
        }
        Some(Self {
            client,
            https: proto
                .last()
                .is_some_and(|proto| proto.eq_ignore_ascii_case("https")),
            host: host.last().map(|host| (*host).to_owned()),
        })
    }
}

/// Returns all elements of a header, even if it occurs more than once.
fn list<'h>(headers: &'h HeaderMap, name: &str) -> Vec<&'h str> {
    let values = headers.get_all(name).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|value| !value.is_empty())
        .collect()
}

/// Parses an address, optionally in brackets or with a port.
fn address(hop: &str) -> Option<IpAddr> {
    let bare = hop.trim_start_matches('[').split(']').next()?;
    bare.parse().ok().or_else(|| {
        let (address, _) = hop.rsplit_once(':')?;
        address.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(peer: &str, headers: &[(&str, &str)]) -> Option<Forwarded> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().unwrap();
            map.append(name, value.parse().unwrap());
        }
        let trusted = ["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()];
        Forwarded::read(&map, peer.parse().unwrap(), &trusted)
    }

    #[test]
    fn forwarded_headers_are_trusted_only_from_a_trusted_proxy() {
        let told = [
            ("x-forwarded-for", "198.51.100.7"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "mcp.example.com"),
        ];
        assert_eq!(read("192.0.2.1", &told), None);
        let forwarded = read("10.1.1.1", &told).unwrap();
        assert_eq!(forwarded.client.to_string(), "198.51.100.7");
        assert!(forwarded.https);
        assert_eq!(forwarded.host.as_deref(), Some("mcp.example.com"));
        assert_eq!(read("10.1.1.1", &[]), None);
    }

    #[test]
    fn addresses_forged_by_the_client_are_ignored() {
        for (chain, client) in [
            (&["1.1.1.1, 198.51.100.7, 10.2.2.2"][..], "198.51.100.7"),
            (&["1.1.1.1", "198.51.100.7"][..], "198.51.100.7"),
            (&["10.9.9.9, 10.2.2.2"][..], "10.9.9.9"),
            (&["1.1.1.1, nonsense, 10.2.2.2"][..], "10.2.2.2"),
            (&["[2001:db8::1]:4711"][..], "2001:db8::1"),
            (&["198.51.100.7:80"][..], "198.51.100.7"),
        ] {
            let headers: Vec<_> = chain
                .iter()
                .map(|value| ("x-forwarded-for", *value))
                .collect();
            let forwarded = read("10.1.1.1", &headers).unwrap();
            assert_eq!(forwarded.client.to_string(), client, "{chain:?}");
        }
        let last = read("::1", &[("x-forwarded-proto", "https, http")]).unwrap();
        assert!(!last.https);
    }
}
