//! Distinguishes files in our own format from foreign files that have `servers` too.

use std::path::Path;

use serde::de::{DeserializeOwned, Deserializer, Visitor};

use super::common_keys;
use crate::config::schema::file::File;
use crate::config::schema::oauth::OAuthEntry;
use crate::config::schema::server::ServerEntry;
use crate::config::source::node::{Node, Value};

/// Returns the top-level keys in our own format, except `servers`.
pub(crate) fn own_keys() -> impl Iterator<Item = &'static str> {
    let keys = fields::<File>().iter().copied();
    keys.filter(|key| !matches!(*key, "servers" | "$schema"))
}

/// Returns the keys of a server that only our own format has.
fn own_server_keys() -> impl Iterator<Item = &'static str> {
    let keys = fields::<ServerEntry>().iter().copied();
    keys.filter(|key| !SHARED_SERVER_KEYS.contains(key))
}

/// Top-level keys that impose no restriction: they may be ignored in a foreign file.
pub(crate) const HARMLESS: [&str; 5] = [
    "listen",
    "log",
    "max_body_bytes",
    "metrics_listen",
    "state_dir",
];

/// Keys of a server that other formats have too.
const SHARED_SERVER_KEYS: [&str; 10] = [
    "args", "command", "cwd", "env", "headers", "oauth", "timeout", "tools", "type", "url",
];

/// Returns `true` if the file is named like those of VS Code and others.
fn is_named(file: &Path) -> bool {
    let name = file.file_name();
    name.is_some_and(|name| name == "mcp.json" || name == ".mcp.json")
}

/// Returns `true` if `servers` are in the format of VS Code and related programs. A key in our own format beside or
/// inside them makes them ours: a restriction must never be ignored.
pub(crate) fn is_vs_code(tree: &Node, file: &Path) -> bool {
    let Some(servers) = tree.get("servers") else {
        return false;
    };
    !is_ours(tree, servers)
        && (is_named(file)
            || tree.get("inputs").is_some()
            || has_foreign_key(servers)
            || has_foreign_variable(servers))
}

/// Returns `true` if a key shows that these servers are in our own format.
pub(crate) fn is_ours(tree: &Node, servers: &Node) -> bool {
    let beside = own_keys().any(|key| tree.get(key).is_some());
    let inside = |server: &Node| {
        let oauth = server.get("oauth");
        let own_oauth = oauth.is_some_and(|oauth| match &oauth.value {
            Value::Scalar { .. } => true,
            _ => fields::<OAuthEntry>()
                .iter()
                .any(|key| *key != "scopes" && oauth.get(key).is_some()),
        });
        own_oauth || own_server_keys().any(|key| server.get(key).is_some())
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
                    // `$${` is a literal `${` in our own format.
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

/// Returns `true` if the whole file is a mapping of servers, as in plugins of Claude Code.
pub(crate) fn is_flat(tree: &Node) -> bool {
    let entries = tree.entries();
    let known = |key: &str| key == "servers" || own_keys().any(|own| own == key);
    let servers = entries.iter().filter(|entry| !entry.key.starts_with('$'));
    let mut servers = servers.peekable();
    servers.peek().is_some()
        && servers.all(|entry| !known(&entry.key) && common_keys::is_server(&entry.node))
}

/// Returns the keys that a type reads.
fn fields<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut found: &'static [&'static str] = &[];
    // This always fails, after the type has named its keys.
    let _ = T::deserialize(Fields(&mut found));
    found
}

/// A deserializer that records the field names of a struct.
struct Fields<'f>(&'f mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        Err(serde::de::Error::custom(
            "only the names of fields are asked for",
        ))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(serde::de::Error::custom(
            "only the names of fields are asked for",
        ))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(schema: &serde_json::Value, at: &str) -> Vec<String> {
        let properties = schema.pointer(at).and_then(serde_json::Value::as_object);
        let mut keys: Vec<String> = properties.unwrap().keys().cloned().collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn every_schema_key_is_recognized_as_an_own_key() {
        let schema = crate::config::schema();
        let mut own: Vec<&str> = own_keys().chain(["servers", "$schema"]).collect();
        own.sort_unstable();
        assert_eq!(keys(&schema, "/properties"), own);
        let mut server: Vec<&str> = own_server_keys().chain(SHARED_SERVER_KEYS).collect();
        server.sort_unstable();
        assert_eq!(keys(&schema, "/$defs/ServerEntry/properties"), server);
    }
}
