//! The gateways that a caller may see, and what is published of them.

use std::time::SystemTime;

use http::request::Parts;
use mcp_orchestrator_core::auth::{LocalAuthenticator, PublicUrl};
use mcp_orchestrator_core::id::GatewayId;
use mcp_orchestrator_core::{ErrorKind, Result};

use super::name;
use crate::mcp::handler::Gate;
use crate::request::head::Head;
use crate::request::readdress::to_gateway;

/// The version of every entry, which is also that of the gateway's `serverInfo`.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The longest description that the schema of `server.json` allows.
const MAX_DESCRIPTION_LEN: usize = 100;

/// A gateway as a registry shows it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Its name in the registry.
    pub(super) name: String,
    pub(super) title: String,
    pub(super) description: String,
    /// Its address.
    pub(super) url: String,
    /// `true` if clients need a token that they cannot obtain by signing in.
    pub(super) needs_token: bool,
    /// When its configuration took effect.
    pub(super) since: SystemTime,
}

/// Returns all gateways that this caller may see, by name.
///
/// # Errors
/// If it may see none and is not authenticated, or cannot be authenticated now.
pub(super) async fn all(gate: &Gate, parts: &Parts, url: &PublicUrl) -> Result<Vec<Entry>> {
    let mut gateways = gate.orchestrator.gateways();
    if gateways.is_empty() {
        // Callers without a token must not learn that.
        gateways.push(gate.default.clone());
    }
    let (mut entries, mut refused, mut is_known) = (Vec::new(), None, false);
    for gateway in &gateways {
        match one(gate, parts, (gateway, url)).await {
            Ok(entry) => entries.push(entry),
            Err(error) if error.kind() == ErrorKind::GatewayNotFound => is_known = true,
            Err(error) if error.kind() == ErrorKind::CallerUnknowable => return Err(error),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    if let Some(error) = refused
        && entries.is_empty()
        && !is_known
    {
        return Err(error);
    }
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(entries)
}

/// Returns a gateway if this caller may see it.
///
/// # Errors
/// If it may not. A gateway that does not exist reads the same.
pub(super) async fn one(
    gate: &Gate,
    parts: &Parts,
    (gateway, url): (&GatewayId, &PublicUrl),
) -> Result<Entry> {
    let described = match gate
        .who(gateway, &Head::of(&to_gateway(parts, gateway)))
        .await
    {
        Ok(who) => {
            let view = gate.orchestrator.view(&who.principal, gateway);
            let servers = view.iter().flat_map(|view| &view.entries);
            let servers: Vec<&str> = servers.map(|entry| entry.alias.as_str()).collect();
            let needs_token = who.principal.method != LocalAuthenticator::METHOD;
            (description(&servers), needs_token)
        }
        Err(_) if is_public(gate, gateway) => ("MCP servers through one endpoint".to_owned(), true),
        Err(error) => return Err(error),
    };
    let (description, needs_token) = described;
    let title = if *gateway == gate.default {
        "MCP Orchestrator".to_owned()
    } else {
        gateway.to_string()
    };
    Ok(Entry {
        name: name::of(url, gateway),
        title,
        description,
        url: url.gateway(gateway),
        needs_token: needs_token && gate.options.protected.is_none(),
        since: gate.since,
    })
}

fn is_public(gate: &Gate, gateway: &GatewayId) -> bool {
    gate.options.public_gateways.contains(gateway) && gate.orchestrator.gateways().contains(gateway)
}

/// Names as many servers as fit.
fn description(servers: &[&str]) -> String {
    if servers.is_empty() {
        return "A gateway without servers".to_owned();
    }
    let text = |named: usize| {
        let (last, first) = match servers.len() - named {
            0 => (servers[named - 1].to_owned(), &servers[..named - 1]),
            more => (format!("{more} more"), &servers[..named]),
        };
        let list = match first {
            [] => last,
            first => format!("{} and {last}", first.join(", ")),
        };
        format!("{list} through one endpoint")
    };
    let mut texts = (1..=servers.len()).rev().map(text);
    let fits = texts.find(|text| text.len() <= MAX_DESCRIPTION_LEN);
    fits.unwrap_or_else(|| format!("{} servers through one endpoint", servers.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_name_as_many_servers_as_fit() {
        let long = "a".repeat(63);
        let many: Vec<String> = (0..1000).map(|n| format!("server-{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        for (servers, text) in [
            (&[][..], "A gateway without servers"),
            (&["git"], "git through one endpoint"),
            (&["git", "time"], "git and time through one endpoint"),
            (&["a", "b", "c"], "a, b and c through one endpoint"),
            (
                &[&long, &long],
                &format!("{long} and 1 more through one endpoint"),
            ),
            (
                &many,
                "server-0, server-1, server-2, server-3, server-4, server-5 and 994 more through one endpoint",
            ),
        ] {
            assert_eq!(description(servers), text);
            assert!(text.len() <= MAX_DESCRIPTION_LEN);
        }
    }
}
