//! How a file of our own format is told from one of another program that has `servers` too.

use std::path::Path;

use super::entry;
use crate::config::tree::{Node, Value};

/// The keys of our own format at the top of a file, `servers` aside. A test compares them with the schema.
pub(super) const OWN_KEYS: [&str; 23] = [
    "admins",
    "allow_processes",
    "allowed_hosts",
    "allowed_origins",
    "audit",
    "auth",
    "auth_wait",
    "backend",
    "credentials",
    "gateways",
    "inherit_env",
    "kubernetes",
    "limits",
    "listen",
    "log",
    "max_body_bytes",
    "metrics_listen",
    "network",
    "public_url",
    "state_dir",
    "teams",
    "tls",
    "trusted_proxies",
];

/// Those of them that restrict nobody and nothing: in a file of another program they may be overlooked.
pub(super) const HARMLESS: [&str; 5] = [
    "listen",
    "log",
    "max_body_bytes",
    "metrics_listen",
    "state_dir",
];

/// The keys of a server that our own format alone has. A test compares them with the schema.
pub(super) const OWN_SERVER_KEYS: [&str; 23] = [
    "backend",
    "credentials",
    "drain_timeout",
    "egress",
    "env_file",
    "era",
    "idle_timeout",
    "image",
    "inherit_env",
    "install",
    "isolation",
    "list_timeout",
    "list_without_credential",
    "max_calls_in_flight",
    "max_message_bytes",
    "path",
    "pod",
    "port",
    "start",
    "start_timeout",
    "stop_grace",
    "task_ttl_max",
    "tools",
];

/// The keys of a server that other formats have too.
#[cfg(test)]
pub(super) const SHARED_SERVER_KEYS: [&str; 9] = [
    "args", "command", "cwd", "env", "headers", "oauth", "timeout", "type", "url",
];

/// Keys of `oauth` that our own format alone has.
const OWN_OAUTH_KEYS: [&str; 6] = [
    "slot",
    "grant",
    "resource",
    "issuer",
    "client_id",
    "client_secret",
];

/// Whether the file is named as VS Code and others name theirs.
fn is_named(file: &Path) -> bool {
    let name = file.file_name();
    name.is_some_and(|name| name == "mcp.json" || name == ".mcp.json")
}

/// Whether `servers` are those of VS Code and its kin, and not ours. Where a key of ours stands beside them or in one
/// of them they are ours: what such a key restricts must never count for nothing.
pub(super) fn is_vs_code(tree: &Node, file: &Path) -> bool {
    let Some(servers) = tree.get("servers") else {
        return false;
    };
    !is_ours(tree, servers)
        && (is_named(file)
            || tree.get("inputs").is_some()
            || has_foreign_key(servers)
            || has_foreign_variable(servers))
}

/// Whether a key says that these servers are of our own format.
pub(super) fn is_ours(tree: &Node, servers: &Node) -> bool {
    let beside = OWN_KEYS.iter().any(|key| tree.get(key).is_some());
    let inside = |server: &Node| {
        let oauth = server.get("oauth");
        let own_oauth = oauth.is_some_and(|oauth| match &oauth.value {
            Value::Scalar { .. } => true,
            _ => OWN_OAUTH_KEYS.iter().any(|key| oauth.get(key).is_some()),
        });
        own_oauth || OWN_SERVER_KEYS.iter().any(|key| server.get(key).is_some())
    };
    beside || servers.entries().iter().any(|entry| inside(&entry.node))
}

fn has_foreign_key(servers: &Node) -> bool {
    let has = |server: &Node| server.get("requestInit").is_some();
    servers.entries().iter().any(|entry| has(&entry.node))
}

fn has_foreign_variable(node: &Node) -> bool {
    match &node.value {
        Value::Scalar { text, .. } => {
            ["${input:", "${env:", "${workspaceFolder"]
                .iter()
                .any(|variable| {
                    let mut found = text.match_indices(variable);
                    // `$${` is how our own format writes a literal `${`.
                    found.any(|(at, _)| !text[..at].ends_with('$'))
                })
        }
        Value::List(items) => items.iter().any(has_foreign_variable),
        Value::Map(entries) => entries
            .iter()
            .any(|entry| has_foreign_variable(&entry.node)),
        Value::Null | Value::Pruned => false,
    }
}

/// Whether the whole file is a mapping of servers, as in the plugins of Claude Code.
pub(super) fn is_flat(tree: &Node) -> bool {
    let entries = tree.entries();
    let known = |key: &str| key == "servers" || OWN_KEYS.contains(&key);
    let servers = entries.iter().filter(|entry| !entry.key.starts_with('$'));
    let mut servers = servers.peekable();
    servers.peek().is_some()
        && servers.all(|entry| !known(&entry.key) && entry::is_server(&entry.node))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(schema: &serde_json::Value, at: &str) -> Vec<String> {
        let properties = schema.pointer(at).and_then(serde_json::Value::as_object);
        let mut keys: Vec<String> = properties.unwrap().keys().cloned().collect();
        keys.retain(|key| key != "servers" && key != "$schema");
        keys.sort_unstable();
        keys
    }

    #[test]
    fn the_lists_have_every_key_of_the_schema() {
        let schema = crate::config::schema();
        assert_eq!(keys(&schema, "/properties"), OWN_KEYS);
        let mut server: Vec<&str> = OWN_SERVER_KEYS.to_vec();
        server.extend(SHARED_SERVER_KEYS);
        server.sort_unstable();
        assert_eq!(keys(&schema, "/$defs/ServerEntry/properties"), server);
    }
}
