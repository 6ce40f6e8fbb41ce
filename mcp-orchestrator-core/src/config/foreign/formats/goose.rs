//! `extensions` of Goose: `config.yaml` and recipes. Secrets are in its keyring, under the names in `env_keys`.

use crate::config::foreign::draft::Draft;
use crate::config::foreign::keys::{Keys, scalar};
use crate::config::foreign::{common_keys, mcp_servers, texts};
use crate::config::schema::server::CredentialEntry;
use crate::config::source::diagnostics::KeyPath;
use crate::config::source::node::{Node, Value};
use crate::id::to_dns_label;

/// Types of extensions that are part of Goose itself.
const INNER: &[&str] = &["builtin", "platform", "frontend", "inline_python"];

/// Returns `true` if these are extensions of Goose.
pub(in crate::config::foreign) fn is_one(extensions: &Node) -> bool {
    let kinds: Option<Vec<String>> = match &extensions.value {
        Value::List(items) => items.iter().map(kind).collect(),
        _ => extensions
            .entries()
            .iter()
            .map(|entry| kind(&entry.node))
            .collect(),
    };
    // A later version may have further types.
    kinds.is_some_and(|kinds| kinds.iter().any(|kind| is_known(kind)))
}

fn kind(extension: &Node) -> Option<String> {
    extension.get("type").and_then(scalar)
}

fn is_known(kind: &str) -> bool {
    INNER.contains(&kind) || common_keys::word(kind).is_some()
}

/// Returns the servers, given by name, or in a recipe as a list.
pub(in crate::config::foreign) fn servers(node: &Node, path: &KeyPath) -> Vec<Draft> {
    let Value::List(items) = &node.value else {
        return mcp_servers::for_each_server(node, path, server);
    };
    let name = |index: usize, item: &Node| {
        let name = item.get("name").and_then(scalar);
        name.unwrap_or_else(|| format!("server-{}", index + 1))
    };
    mcp_servers::for_each_item(items, path, name, server)
}

fn server(keys: &mut Keys<'_>, draft: &mut Draft) {
    let kind = keys.node(&["type"]).and_then(|(node, _)| scalar(node));
    if let Some(kind) = kind.filter(|kind| INNER.contains(&kind.as_str())) {
        draft.leave_out(format!("skipped: {kind} is part of Goose itself"));
        return;
    }
    if let Some(kind) = keys.node(&["type"]).and_then(|(node, _)| scalar(node))
        && !is_known(&kind)
    {
        draft.leave_out(format!(
            "skipped: its type {kind:?} is not known; known are stdio, sse and streamable_http"
        ));
        return;
    }
    common_keys::read(keys, draft);
    draft.more.timeout = keys.number(&["timeout"]).and_then(texts::span);
    let is_remote = draft.command.is_none() && !draft.urls.is_empty();
    for name in keys.texts(&["env_keys"]).unwrap_or_default() {
        if is_remote {
            // There they are only the variables of headers.
            if !draft
                .headers
                .values()
                .any(|value| value.0.contains(&name.0))
            {
                let text = format!(
                    "{} is ignored: a server with a URL has no environment",
                    name.0
                );
                draft.notice("env_keys", text);
            }
            continue;
        }
        draft.credentials.push(CredentialEntry {
            name: to_dns_label(&name.0),
            env: Some(name.0),
            ..CredentialEntry::default()
        });
    }
    keys.skip(&["bundled"]);
    // Goose too shows all tools if the list is empty.
    if keys
        .texts(&["available_tools"])
        .is_some_and(|tools| !tools.is_empty())
    {
        draft.notice(
            "available_tools",
            "ignored: all tools are exposed; select them with `tools` of a gateway",
        );
    }
}
