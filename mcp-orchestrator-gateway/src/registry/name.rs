//! Names of gateways in a registry: a reverse-DNS namespace, a slash, and the gateway.

use mcp_orchestrator_core::auth::PublicUrl;
use mcp_orchestrator_core::id::GatewayId;

/// The namespace of a gateway without a domain of its own: at an IP address, `localhost` or another single label.
const LOCAL: &str = "local.mcp-orchestrator";
/// The longest name that the schema of `server.json` allows.
const MAX_LEN: usize = 200;

/// Returns the name of a gateway, such as `com.example.mcp/ops`. A path in the public address is part of it, because
/// gateways of the same host may differ only by that: `com.example/tools.ops`.
pub(super) fn of(url: &PublicUrl, gateway: &GatewayId) -> String {
    let namespace = namespace(url).unwrap_or_else(|| LOCAL.to_owned());
    let mut local = String::new();
    for segment in url.prefix().split('/').filter(|part| !part.is_empty()) {
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || "._-".contains(c) {
                c
            } else {
                '-'
            }
        };
        local.extend(segment.chars().map(plain));
        local.push('.');
    }
    let gateway = gateway.as_str();
    if namespace.len() + 1 + local.len() + gateway.len() <= MAX_LEN {
        format!("{namespace}/{local}{gateway}")
    } else {
        format!("{LOCAL}/{gateway}")
    }
}

/// Returns the host without its port.
pub(super) fn host(url: &PublicUrl) -> &str {
    let authority = url.authority();
    if authority.starts_with('[') {
        return authority.split_inclusive(']').next().unwrap_or(authority);
    }
    authority.split(':').next().unwrap_or(authority)
}

/// Returns the labels of the host's domain in reverse order.
fn namespace(url: &PublicUrl) -> Option<String> {
    let host = host(url).trim_end_matches('.');
    let is_label = |label: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        !label.is_empty() && label.bytes().all(plain)
    };
    let mut labels: Vec<&str> = host.split('.').collect();
    // The last label of an IP address is a number; a top-level domain is not.
    let is_domain = labels.len() > 1
        && labels.iter().all(|label| is_label(label))
        && !labels.last()?.bytes().all(|b| b.is_ascii_digit());
    labels.reverse();
    is_domain.then(|| labels.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_reversed_host_and_the_gateway() {
        let long = format!(
            "https://{}.example.com",
            "a.".repeat(100).trim_end_matches('.')
        );
        for (url, name) in [
            ("https://mcp.example.com", "com.example.mcp/ops"),
            ("https://MCP.Example.com:8443", "com.example.mcp/ops"),
            ("https://example.com./", "com.example/ops"),
            (
                "https://example.com/tools/a%20b",
                "com.example/tools.a-20b.ops",
            ),
            ("http://localhost:8080", "local.mcp-orchestrator/ops"),
            ("http://gateway", "local.mcp-orchestrator/ops"),
            ("http://127.0.0.1:8080", "local.mcp-orchestrator/ops"),
            ("http://[::1]:8080", "local.mcp-orchestrator/ops"),
            ("http://my_host.example.com", "local.mcp-orchestrator/ops"),
            (&long, "local.mcp-orchestrator/ops"),
        ] {
            let url: PublicUrl = url.parse().unwrap();
            assert_eq!(of(&url, &GatewayId::new("ops").unwrap()), name, "{url}");
        }
    }
}
