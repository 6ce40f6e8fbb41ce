//! The NetworkPolicy of an instance: who may connect to it, and where it may connect to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

use super::Rendering;
use super::error::Failed;
use crate::net::special_use::public_blocks;
use crate::runtime::kubernetes::names::INSTANCE;
use crate::server::Egress;

/// The DNS server pods of a cluster: namespace, label, and the port that they listen on. A NetworkPolicy matches the
/// pods behind a Service, not its address.
const DNS_PODS: [(&str, &str, &str, u16); 2] = [
    // CoreDNS and kube-dns use the same label in most distributions.
    ("kube-system", "k8s-app", "kube-dns", 53),
    (
        "openshift-dns",
        "dns.operator.openshift.io/daemonset-dns",
        "default",
        5353,
    ),
];

/// Renders the policy: ingress only from the gateway, egress according to the server's rules.
pub(super) fn policy(of: &Rendering<'_>) -> Result<Value, Failed> {
    let mut spec = json!({
        "podSelector": { "matchLabels": { INSTANCE: of.key.name() } },
        "policyTypes": ["Ingress"],
        "ingress": ingress(of),
    });
    if let Some(egress) = egress(&of.launch.server.egress)? {
        spec["policyTypes"] = json!(["Ingress", "Egress"]);
        spec["egress"] = egress;
    }
    Ok(json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": of.metadata(of.key.name()),
        "spec": spec,
    }))
}

/// Attach and port-forward connections come from the node, which NetworkPolicies do not block.
fn ingress(of: &Rendering<'_>) -> Value {
    let Some(port) = of.port().filter(|_| of.inside) else {
        return json!([]);
    };
    let mut from = json!({ "podSelector": { "matchLabels": of.options.gateway_labels } });
    if let Some(namespace) = &of.options.gateway_namespace {
        let name = json!({ "kubernetes.io/metadata.name": namespace });
        from["namespaceSelector"] = json!({ "matchLabels": name });
    }
    json!([{ "from": [from], "ports": [{ "protocol": "TCP", "port": port }] }])
}

/// Renders the egress rules; `None` means unrestricted.
fn egress(egress: &Egress) -> Result<Option<Value>, Failed> {
    Ok(match egress {
        Egress::All => None,
        Egress::None => Some(json!([])),
        Egress::Public => {
            let blocks = public_blocks().into_iter();
            let blocks = blocks.map(
                |block| json!({ "ipBlock": { "cidr": block.network, "except": block.except } }),
            );
            let mut rules = dns();
            rules.push(json!({ "to": blocks.collect::<Vec<_>>() }));
            Some(Value::Array(rules))
        }
        Egress::Only(networks) => {
            let mut rules = dns();
            for network in networks {
                let (cidr, port) = parse(network).ok_or_else(|| Failed::Egress(network.clone()))?;
                let mut rule = json!({ "to": [{ "ipBlock": { "cidr": cidr } }] });
                if let Some(port) = port {
                    rule["ports"] = json!([
                        { "protocol": "TCP", "port": port },
                        { "protocol": "UDP", "port": port },
                    ]);
                }
                rules.push(rule);
            }
            Some(Value::Array(rules))
        }
    })
}

/// Allows DNS lookups at the cluster's own DNS servers only.
fn dns() -> Vec<Value> {
    let rule = |(namespace, label, value, port): (&str, &str, &str, u16)| {
        json!({
            "to": [{
                "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": namespace } },
                "podSelector": { "matchLabels": { label: value } },
            }],
            "ports": [
                { "protocol": "UDP", "port": port },
                { "protocol": "TCP", "port": port },
            ],
        })
    };
    DNS_PODS.map(rule).into()
}

/// Parses `cidr` or `cidr:port`; a single address is a network of one. The result is normalized as the API server
/// expects: without bits after the prefix, and with an IPv4-mapped address as IPv4.
fn parse(network: &str) -> Option<(String, Option<u16>)> {
    let (address, rest) = match network.split_once('/') {
        Some((address, rest)) => (address, Some(rest)),
        None => (network, None),
    };
    let Some(rest) = rest else {
        if let Ok(address) = address.parse::<IpAddr>() {
            return Some((alone(address), None));
        }
        let (address, port) = address.rsplit_once(':')?;
        let bare = address.trim_start_matches('[').trim_end_matches(']');
        return Some((alone(bare.parse().ok()?), Some(port.parse().ok()?)));
    };
    let address: IpAddr = address.trim_start_matches('[').parse().ok()?;
    let (length, port) = match rest.split_once(':') {
        Some((length, port)) => (length, Some(port.parse().ok()?)),
        None => (rest, None),
    };
    let length: u8 = length.trim_end_matches(']').parse().ok()?;
    Some((network_of(address, length)?, port))
}

fn network_of(address: IpAddr, length: u8) -> Option<String> {
    match (address, address.to_canonical()) {
        (IpAddr::V6(_), IpAddr::V4(v4)) => {
            // The first 96 bits of a mapped address only mark it as mapped.
            network_of(v4.into(), length.checked_sub(96)?)
        }
        (IpAddr::V4(v4), _) => {
            let rest = u32::from(32u8.checked_sub(length)?);
            let bits = v4.to_bits().checked_shr(rest).unwrap_or(0);
            let first = Ipv4Addr::from_bits(bits.checked_shl(rest).unwrap_or(0));
            Some(format!("{first}/{length}"))
        }
        (IpAddr::V6(v6), _) => {
            let rest = u32::from(128u8.checked_sub(length)?);
            let bits = v6.to_bits().checked_shr(rest).unwrap_or(0);
            let first = Ipv6Addr::from_bits(bits.checked_shl(rest).unwrap_or(0));
            Some(format!("{first}/{length}"))
        }
    }
}

fn alone(address: IpAddr) -> String {
    let address = address.to_canonical();
    format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_parsed_with_and_without_a_port() {
        let read = |text: &str| parse(text).map(|(cidr, port)| format!("{cidr} {port:?}"));
        for (text, meant) in [
            ("10.0.0.0/8", Some("10.0.0.0/8 None")),
            ("10.1.2.3/32:443", Some("10.1.2.3/32 Some(443)")),
            ("10.1.2.3", Some("10.1.2.3/32 None")),
            ("10.1.2.3:80", Some("10.1.2.3/32 Some(80)")),
            ("fd00::/8:443", Some("fd00::/8 Some(443)")),
            ("[fd00::]/8", None),
            ("fd00::1", Some("fd00::1/128 None")),
            ("[fd00::1]:443", Some("fd00::1/128 Some(443)")),
            ("10.0.0.0/33", None),
            ("example.com", None),
            ("10.0.0.0/8:99999", None),
            ("::ffff:10.0.0.0/104", Some("10.0.0.0/8 None")),
            ("[::ffff:10.1.2.3]:443", Some("10.1.2.3/32 Some(443)")),
            ("::ffff:10.1.2.3", Some("10.1.2.3/32 None")),
            ("::ffff:10.0.0.0/64", None),
            ("10.1.2.3/8", Some("10.0.0.0/8 None")),
            ("10.1.2.3/0", Some("0.0.0.0/0 None")),
            ("fd00:1::1/16", Some("fd00::/16 None")),
        ] {
            assert_eq!(read(text).as_deref(), meant, "{text}");
        }
    }

    #[test]
    fn listed_networks_and_dns_are_allowed() {
        assert_eq!(egress(&Egress::All).unwrap(), None);
        assert_eq!(egress(&Egress::None).unwrap(), Some(json!([])));
        let only = Egress::Only(vec!["10.0.0.0/8:443".into()]);
        let rules = egress(&only).unwrap().unwrap();
        assert_eq!(rules[0]["ports"][0]["port"], 53);
        assert_eq!(rules[2]["to"][0]["ipBlock"]["cidr"], "10.0.0.0/8");
        assert_eq!(rules[2]["ports"][0]["port"], 443);
        let public = egress(&Egress::Public).unwrap().unwrap();
        let except = public[2]["to"][0]["ipBlock"]["except"].as_array().unwrap();
        for range in ["10.0.0.0/8", "192.0.0.0/24", "224.0.0.0/3"] {
            assert!(except.contains(&json!(range)), "{range}");
        }
        for rules in [&rules, &public] {
            let dns = rules.as_array().unwrap().iter().take(2);
            for peer in dns.flat_map(|rule| rule["to"].as_array().unwrap()) {
                assert!(peer["podSelector"]["matchLabels"].is_object(), "{peer}");
                assert!(
                    peer["namespaceSelector"]["matchLabels"].is_object(),
                    "{peer}"
                );
            }
        }
        let unknown = egress(&Egress::Only(vec!["example.com".into()]));
        assert!(unknown.unwrap_err().to_string().contains("example.com"));
    }
}
