//! The NetworkPolicy of an instance: who may reach it, and where it may connect to.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::{Failed, Rendering};
use crate::runtime::kubernetes::names::INSTANCE;
use crate::server::Egress;

/// What is not the public internet, by family.
const PRIVATE_V4: [&str; 10] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16/32",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "240.0.0.0/4",
];
const PRIVATE_V6: [&str; 5] = [
    "::1/128",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "fc00::/7",
    "fe80::/10",
];

/// Ingress only from the gateway, egress as the server's rules say.
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

/// Whoever attaches or forwards a port comes from the node, which no policy holds up.
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

/// `None`: not restricted.
fn egress(egress: &Egress) -> Result<Option<Value>, Failed> {
    let dns = json!({ "ports": [
        { "protocol": "UDP", "port": 53 },
        { "protocol": "TCP", "port": 53 },
    ] });
    Ok(match egress {
        Egress::All => None,
        Egress::None => Some(json!([])),
        Egress::Public => Some(json!([dns, { "to": [
            { "ipBlock": { "cidr": "0.0.0.0/0", "except": PRIVATE_V4 } },
            { "ipBlock": { "cidr": "::/0", "except": PRIVATE_V6 } },
        ] }])),
        Egress::Only(networks) => {
            let mut rules = vec![dns];
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

/// `cidr` or `cidr:port`; an address alone is a network of one.
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
    let longest = if address.is_ipv4() { 32 } else { 128 };
    (length <= longest).then(|| (format!("{address}/{length}"), port))
}

fn alone(address: IpAddr) -> String {
    format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_with_and_without_a_port() {
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
        ] {
            assert_eq!(read(text).as_deref(), meant, "{text}");
        }
    }

    #[test]
    fn what_is_listed_is_allowed_and_names_can_be_looked_up() {
        assert_eq!(egress(&Egress::All).unwrap(), None);
        assert_eq!(egress(&Egress::None).unwrap(), Some(json!([])));
        let only = Egress::Only(vec!["10.0.0.0/8:443".into()]);
        let rules = egress(&only).unwrap().unwrap();
        assert_eq!(rules[0]["ports"][0]["port"], 53);
        assert_eq!(rules[0].get("to"), None);
        assert_eq!(rules[1]["to"][0]["ipBlock"]["cidr"], "10.0.0.0/8");
        assert_eq!(rules[1]["ports"][0]["port"], 443);
        let public = egress(&Egress::Public).unwrap().unwrap();
        let except = public[1]["to"][0]["ipBlock"]["except"].as_array().unwrap();
        assert!(except.contains(&json!("10.0.0.0/8")));
        let unknown = egress(&Egress::Only(vec!["example.com".into()]));
        assert!(unknown.unwrap_err().to_string().contains("example.com"));
    }
}
