//! Servers of a file outside the place that is read, such as those of single projects: a notice names them.

use crate::config::source::diagnostics::{KeyPath, Report};
use crate::config::source::node::{Node, Value};
use crate::config::source::parsed_file::ParsedFile;

/// Keys with servers.
const KEYS: [&str; 3] = ["mcpServers", "mcp_servers", "context_servers"];
/// How deep such keys are searched for.
const MAX_DEPTH: usize = 4;
/// Maximum number of notices.
const MAX_NOTICES: usize = 10;

/// Adds a notice for each key with servers that is not `way`.
pub(super) fn report(source: &ParsedFile, way: &[&str], report: &mut Report) {
    let read = way
        .iter()
        .fold(KeyPath::default(), |path, key| path.key(key));
    let mut found = Vec::new();
    search(&source.tree, &KeyPath::default(), &read, 0, &mut found);
    for path in found {
        let at = source.key_position(&path);
        let message = "these servers are not read; copy those that you want to `mcpServers` of a file of their own";
        report.notice(&source.file, at, &path, message);
    }
}

fn search(node: &Node, at: &KeyPath, read: &KeyPath, depth: usize, found: &mut Vec<KeyPath>) {
    for entry in node.entries() {
        if found.len() >= MAX_NOTICES {
            return;
        }
        let path = at.key(&entry.key);
        if path == *read {
            continue;
        }
        if KEYS.contains(&entry.key.as_str()) && has_servers(&entry.node) {
            found.push(path);
        } else if depth < MAX_DEPTH {
            search(&entry.node, &path, read, depth + 1, found);
        }
    }
}

fn has_servers(node: &Node) -> bool {
    match &node.value {
        Value::Map(entries) => !entries.is_empty(),
        Value::List(items) => !items.is_empty(),
        _ => false,
    }
}
