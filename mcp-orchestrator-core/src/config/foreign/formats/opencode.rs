//! `mcp` of opencode: `opencode.json`. Variables are `{env:NAME}`, files `{file:path}`.

use crate::config::foreign::draft::Draft;
use crate::config::foreign::keys::Keys;
use crate::config::foreign::{common_keys, mcp_servers, texts};
use crate::config::schema::server::{CredentialEntry, HeaderEntry};
use crate::config::schema::value::{TextOr, Typed};
use crate::config::source::diagnostics::KeyPath;
use crate::config::source::node::Node;
use crate::id::to_dns_label;

/// Returns the servers.
pub(in crate::config::foreign) fn servers(node: &Node, path: &KeyPath) -> Vec<Draft> {
    mcp_servers::for_each_server(node, path, server)
}

fn server(keys: &mut Keys<'_>, draft: &mut Draft) {
    common_keys::read(keys, draft);
    let milliseconds = keys.number(&["timeout"]);
    draft.more.list_timeout = milliseconds.and_then(|it| texts::span(it / 1000.0));
    if !keys.has(&["command", "url"]) {
        draft.leave_out("skipped: it has neither a `command` nor a `url`");
    }
    files(draft);
}

/// Converts `{file:path}` as a whole value, or at the end of a header, to a credential slot.
fn files(draft: &mut Draft) {
    let mut slots = Vec::new();
    let mut left = Vec::new();
    for env in [true, false] {
        let values = if env {
            &mut draft.env
        } else {
            &mut draft.headers
        };
        values.retain(|name, value| {
            let Some((before, rest)) = value.0.split_once("{file:") else {
                return true;
            };
            let file = rest.strip_suffix('}').filter(|file| !file.contains('}'));
            let Some(file) = file.filter(|_| !env || before.is_empty()) else {
                left.push((env, name.clone()));
                return false;
            };
            let mut file = Typed(file.trim().to_owned());
            texts::home(&mut file);
            let mut slot = CredentialEntry {
                name: to_dns_label(name),
                from_file: Some(file),
                ..CredentialEntry::default()
            };
            if env {
                slot.env = Some(name.clone());
            } else {
                slot.header = Some(TextOr::Other(HeaderEntry {
                    name: name.clone(),
                    prefix: before.to_owned(),
                }));
            }
            slots.push(slot);
            false
        });
    }
    draft.credentials.append(&mut slots);
    for (env, name) in left {
        let section = if env { "env" } else { "headers" };
        draft.notice(
            section,
            format!("{name} is left out: a file in the middle of a value is not supported"),
        );
    }
}
