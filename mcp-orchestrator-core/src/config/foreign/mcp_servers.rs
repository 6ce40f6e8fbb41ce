//! Parsers for `mcpServers` (Claude, Cursor and most others), VS Code's `servers`, and files with only servers.

use std::collections::BTreeMap;

use super::common_keys;
use super::draft::Draft;
use super::keys::Keys;
use super::texts;
use crate::config::schema::server::{CredentialEntry, HeaderEntry};
use crate::config::schema::value::TextOr;
use crate::config::schema::value::Typed;
use crate::config::source::diagnostics::KeyPath;
use crate::config::source::node::{Node, Value};
use crate::id::to_dns_label;

/// Creates a draft of each server of a mapping with `read`.
pub(super) fn for_each_server(
    node: &Node,
    path: &KeyPath,
    read: impl Fn(&mut Keys<'_>, &mut Draft),
) -> Vec<Draft> {
    let entries = node.entries().iter();
    entries
        .map(|entry| Draft::of(&entry.key, &entry.node, path.key(&entry.key), &read))
        .collect()
}

/// Creates a draft of each server of a list with `read`; `name` returns the name of an item, given with its index.
pub(super) fn for_each_item(
    items: &[Node],
    path: &KeyPath,
    name: impl Fn(usize, &Node) -> String,
    read: impl Fn(&mut Keys<'_>, &mut Draft),
) -> Vec<Draft> {
    let items = items.iter().enumerate();
    items
        .map(|(index, item)| Draft::of(&name(index, item), item, path.index(index), &read))
        .collect()
}

/// Reads the servers of `mcpServers`. `tree` is the whole file, because other keys of it may disable servers.
pub(super) fn servers(tree: &Node, node: &Node, path: &KeyPath) -> Vec<Draft> {
    let mut drafts = for_each_server(node, path, |keys, draft| {
        common_keys::read(keys, draft);
        user_variables(keys, draft);
        timeouts(tree, keys, draft);
    });
    let off = switched_off(tree);
    for draft in &mut drafts {
        if off.iter().any(|name| *name == draft.key) {
            draft.leave_out("skipped: the server is disabled in this file");
        }
        if let Some(allowed) = names(tree, &["mcp", "allowed"])
            && !allowed.contains(&draft.key.as_str())
        {
            draft.leave_out("skipped: `mcp.allowed` does not list this server");
        }
    }
    drafts
}

/// Returns the servers that other keys of the file disable (Claude Code, Gemini CLI).
fn switched_off(tree: &Node) -> Vec<&str> {
    let ways: [&[&str]; 3] = [
        &["disabledMcpjsonServers"],
        &["disabledMcpServers"],
        &["mcp", "excluded"],
    ];
    let all = ways.iter().filter_map(|way| names(tree, way));
    all.flatten().collect()
}

fn names<'t>(tree: &'t Node, way: &[&str]) -> Option<Vec<&'t str>> {
    let node = way.iter().try_fold(tree, |node, key| node.get(key))?;
    let Value::List(items) = &node.value else {
        return None;
    };
    let names = items.iter().filter_map(|item| match &item.value {
        Value::Scalar { text, .. } => Some(text.as_str()),
        _ => None,
    });
    Some(names.collect())
}

/// Reads the servers of a file that contains nothing else.
pub(super) fn flat(node: &Node, path: &KeyPath) -> Vec<Draft> {
    let mut drafts = for_each_server(node, path, common_keys::read);
    drafts.retain(|draft| !draft.key.starts_with('$'));
    drafts
}

/// Reads VS Code's `servers`, in which a leading `~` of a command, argument, folder or file is the home directory.
pub(super) fn vs_code(node: &Node, path: &KeyPath) -> Vec<Draft> {
    let mut drafts = for_each_server(node, path, |keys, draft| {
        common_keys::read(keys, draft);
        keys.skip(&["dev"]);
        if keys.flag(&["sandboxEnabled"]) == Some(true) {
            draft.notice(
                "sandboxEnabled",
                "ignored: the program runs without a sandbox",
            );
            keys.skip(&["sandbox"]);
        }
    });
    for draft in &mut drafts {
        for text in draft.args.iter_mut().flatten() {
            texts::home(text);
        }
    }
    drafts
}

/// Reads timeouts in files with a known unit: LibreChat and Gemini CLI use milliseconds.
fn timeouts(tree: &Node, keys: &mut Keys<'_>, draft: &mut Draft) {
    let milliseconds = keys.has(&[
        "initTimeout",
        "chatMenu",
        "customUserVars",
        "serverInstructions",
        "startup",
        "trust",
        "httpUrl",
        "includeTools",
        "excludeTools",
    ]) || tree.get("mcpSettings").is_some()
        || tree.get("endpoints").is_some();
    if milliseconds {
        draft.more.timeout = keys
            .number(&["timeout"])
            .and_then(|it| texts::span(it / 1000.0));
        draft.more.start_timeout = keys
            .number(&["initTimeout"])
            .and_then(|it| texts::span(it / 1000.0));
    }
}

/// Converts LibreChat's `customUserVars`, which each user sets, to credential slots: `{{NAME}}` in headers, variables
/// and the URL.
fn user_variables(keys: &mut Keys<'_>, draft: &mut Draft) {
    let mut known: BTreeMap<String, Option<String>> = BTreeMap::new();
    if let Some((node, path)) = keys.node(&["customUserVars"]) {
        for entry in node.entries() {
            let below = Keys::new(&entry.node, path.key(&entry.key));
            let description = below.and_then(|mut keys| keys.text(&["description", "title"]));
            known.insert(entry.key.clone(), description.map(|text| text.0));
        }
    }
    let slot = |name: &str| CredentialEntry {
        name: to_dns_label(name),
        description: known.get(name).cloned().flatten(),
        ..CredentialEntry::default()
    };
    let mut slots = Vec::new();
    let mut remarks = Vec::new();
    let mut take = |env: bool, texts: &mut BTreeMap<String, Typed>| {
        texts.retain(|key, value| {
            let Some((before, rest)) = value.0.split_once("{{") else {
                return true;
            };
            let variable = rest
                .split_once("}}")
                .map(|(name, after)| (name.trim(), after));
            match variable {
                Some((name, "")) if known.contains_key(name) && (!env || before.is_empty()) => {
                    let mut slot = slot(name);
                    if env {
                        slot.env = Some(key.clone());
                    } else if before.is_empty() {
                        slot.header = Some(TextOr::Text(Typed(key.clone())));
                    } else {
                        slot.header = Some(TextOr::Other(HeaderEntry {
                            name: key.clone(),
                            prefix: before.to_owned(),
                        }));
                    }
                    slots.push(slot);
                }
                _ => remarks.push((env, key.clone())),
            }
            false
        });
    };
    take(true, &mut draft.env);
    take(false, &mut draft.headers);
    draft.credentials.append(&mut slots);
    for (env, key) in remarks {
        let section = if env { "env" } else { "headers" };
        draft.notice(
            section,
            format!("{key} is left out: only that program knows the `{{{{…}}}}` in it"),
        );
    }
    let placed = draft.urls.iter().any(|(_, url)| url.0.contains("{{"));
    if placed {
        draft.leave_out("skipped: only that program knows the `{{…}}` in its URL");
    }
}
