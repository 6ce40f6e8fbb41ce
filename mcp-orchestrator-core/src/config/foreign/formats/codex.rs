//! `mcp_servers` of Codex: `~/.codex/config.toml`. Values are literal; tokens come from named environment variables.

use crate::config::foreign::draft::Draft;
use crate::config::foreign::keys::{Keys, Remark, scalar};
use crate::config::foreign::{common_keys, mcp_servers, texts};
use crate::config::schema::server::{CredentialEntry, HeaderEntry};
use crate::config::schema::value::{TextOr, Typed};
use crate::config::source::diagnostics::KeyPath;
use crate::config::source::node::{Node, Value};
use crate::id::to_dns_label;

/// Returns the servers, given by name or as a list with a name in each.
pub(in crate::config::foreign) fn servers(node: &Node, path: &KeyPath) -> Vec<Draft> {
    let Value::List(items) = &node.value else {
        return mcp_servers::for_each_server(node, path, server);
    };
    let name = |_, item: &Node| item.get("name").and_then(scalar).unwrap_or_default();
    mcp_servers::for_each_item(items, path, name, server)
}

fn server(keys: &mut Keys<'_>, draft: &mut Draft) {
    common_keys::read(keys, draft);
    inherited(keys, draft);
    if let Some(variable) = keys.text(&["bearer_token_env_var"]) {
        draft.credentials.push(CredentialEntry {
            name: Some("token".to_owned()),
            header: Some(TextOr::Other(HeaderEntry {
                name: "Authorization".to_owned(),
                prefix: "Bearer ".to_owned(),
            })),
            from_env: Some(variable.0),
            ..CredentialEntry::default()
        });
    }
    if let Some(token) = keys.text(&["bearer_token"]) {
        let value = Typed(format!("Bearer {}", token.0));
        draft
            .headers
            .entry("Authorization".to_owned())
            .or_insert(value);
    }
    for (header, variable) in keys.map(&["env_http_headers"]).unwrap_or_default() {
        draft.credentials.push(CredentialEntry {
            name: to_dns_label(&header),
            header: Some(TextOr::Text(Typed(header))),
            from_env: Some(variable.0),
            ..CredentialEntry::default()
        });
    }
    let seconds = |found: Option<f64>| found.and_then(texts::span);
    draft.more.timeout = seconds(keys.number(&["tool_timeout_sec"]));
    let start = keys.number(&["startup_timeout_sec"]);
    let start = start.or_else(|| keys.number(&["startup_timeout_ms"]).map(|it| it / 1000.0));
    draft.more.start_timeout = seconds(start);
    if let Some(scopes) = keys.texts(&["scopes"]) {
        common_keys::amend(draft, |entry| entry.scopes = Some(scopes));
    }
    keys.skip(&[
        "required",
        "startup_readiness",
        "supports_parallel_tool_calls",
    ]);
}

/// Reads `env_vars`: environment variables that the program inherits, as names or as `{name, source}`.
fn inherited(keys: &mut Keys<'_>, draft: &mut Draft) {
    let Some((node, path)) = keys.node(&["env_vars"]) else {
        return;
    };
    let Value::List(items) = &node.value else {
        draft.problems.push(Remark {
            path,
            text: "expected a list of names".to_owned(),
        });
        return;
    };
    let name = |item: &Node| scalar(item).or_else(|| item.get("name").and_then(scalar));
    let names: Vec<String> = items.iter().filter_map(name).collect();
    draft.more.inherit_env = (!names.is_empty()).then_some(names);
}
