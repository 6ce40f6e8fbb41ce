//! `mcpServers` of Continue: a list in `config.yaml` or in files of `.continue/mcpServers`. Variables are `${{
//! secrets.NAME }}`.

use crate::config::foreign::draft::Draft;
use crate::config::foreign::keys::{Keys, Remark, scalar};
use crate::config::foreign::{common_keys, texts};
use crate::config::schema::value::Typed;
use crate::config::source::diagnostics::KeyPath;
use crate::config::source::node::{Node, Value};

/// Returns the servers.
pub(in crate::config::foreign) fn servers(node: &Node, path: &KeyPath) -> Vec<Draft> {
    let Value::List(items) = &node.value else {
        return Vec::new();
    };
    let mut drafts = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let path = path.index(index);
        let name = ["name", "id"].iter().find_map(|key| scalar(item.get(key)?));
        let block = item.get("uses").and_then(scalar);
        let name = name.or_else(|| Some(block.as_deref()?.rsplit('/').next()?.to_owned()));
        let name = name.unwrap_or_else(|| format!("server-{}", index + 1));
        let mut draft = Draft::new(&name, &path);
        match Keys::new(item, path.clone()) {
            Some(mut keys) => {
                server(&mut keys, &mut draft, block.is_some());
                draft.close(keys);
            }
            None => draft.problems.push(Remark {
                path,
                text: "expected a mapping".to_owned(),
            }),
        }
        drafts.push(draft);
    }
    drafts
}

fn server(keys: &mut Keys<'_>, draft: &mut Draft, block: bool) {
    if block {
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
