//! `mcp` of Crush: `crush.json`. Variables use shell syntax; commands in them are not run.

use crate::config::foreign::draft::Draft;
use crate::config::foreign::keys::Keys;
use crate::config::foreign::{common_keys, mcp_servers, texts};
use crate::config::source::diagnostics::KeyPath;
use crate::config::source::node::Node;

/// Returns the servers.
pub(in crate::config::foreign) fn servers(node: &Node, path: &KeyPath) -> Vec<Draft> {
    mcp_servers::for_each_server(node, path, server)
}

fn server(keys: &mut Keys<'_>, draft: &mut Draft) {
    common_keys::read(keys, draft);
    draft.more.start_timeout = keys.number(&["timeout"]).and_then(texts::span);
    let mut left = Vec::new();
    for (section, values) in [("env", &mut draft.env), ("headers", &mut draft.headers)] {
        values.retain(|name, value| {
            if !value.0.contains("$(") {
                return true;
            }
            // For example `$(echo $NAME)`, which is the documented way to name a variable.
            match echoed(&value.0) {
                Some(text) => {
                    value.0 = text;
                    true
                }
                None => {
                    left.push((section, name.clone()));
                    false
                }
            }
        });
    }
    for (section, name) in left {
        draft.notice(
            section,
            format!("{name} is left out: its value comes from a command, and commands are not run"),
        );
    }
}

fn echoed(text: &str) -> Option<String> {
    let (before, rest) = text.split_once("$(")?;
    let (command, after) = rest.split_once(')')?;
    let variable = command.trim().strip_prefix("echo ")?.trim();
    let variable = variable.trim_matches('"');
    let name = variable.strip_prefix('$')?.trim_matches(['{', '}']);
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let fits = !name.is_empty() && name.chars().all(plain) && !after.contains("$(");
    fits.then(|| format!("{before}${{{name}}}{after}"))
}
