//! `mcpServers` of Continue: a list in `config.yaml` or in files of `.continue/mcpServers`. Variables are `${{
//! secrets.NAME }}`.

use crate::config::foreign::draft::Draft;
use crate::config::foreign::keys::{Keys, scalar};
use crate::config::foreign::{common_keys, mcp_servers, texts};
use crate::config::schema::value::Typed;
use crate::config::source::diagnostics::KeyPath;
use crate::config::source::node::{Node, Value};

/// Returns the servers.
pub(in crate::config::foreign) fn servers(node: &Node, path: &KeyPath) -> Vec<Draft> {
    let Value::List(items) = &node.value else {
        return Vec::new();
    };
    mcp_servers::for_each_item(items, path, name, server)
}

/// Returns the name of a server: its own, or that of its block of Continue's hub.
fn name(index: usize, item: &Node) -> String {
    let name = ["name", "id"].iter().find_map(|key| scalar(item.get(key)?));
    let of_block = || {
        Some(
            item.get("uses")
                .and_then(scalar)?
                .rsplit('/')
                .next()?
                .to_owned(),
        )
    };
    name.or_else(of_block)
        .unwrap_or_else(|| format!("server-{}", index + 1))
}

fn server(keys: &mut Keys<'_>, draft: &mut Draft) {
    if keys.has(&["uses"]) {
        draft.leave_out("skipped: it `uses` a block of Continue's hub; add its `command` or `url`");
        return;
    }
    common_keys::read(keys, draft);
    let milliseconds = keys.number(&["connectionTimeout"]);
    draft.more.start_timeout = milliseconds.and_then(|it| texts::span(it / 1000.0));
    if let Some(key) = keys.text(&["apiKey"]) {
        let value = Typed(format!("Bearer {}", key.0));
        draft
            .headers
            .entry("Authorization".to_owned())
            .or_insert(value);
    }
}
