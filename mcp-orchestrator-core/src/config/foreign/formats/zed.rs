//! `context_servers` of Zed's settings. Values are literal.

use crate::config::foreign::draft::Draft;
use crate::config::foreign::keys::Keys;
use crate::config::foreign::{common_keys, mcp_servers};
use crate::config::source::diagnostics::KeyPath;
use crate::config::source::node::Node;

/// Returns the servers.
pub(in crate::config::foreign) fn servers(node: &Node, path: &KeyPath) -> Vec<Draft> {
    mcp_servers::for_each_server(node, path, server)
}

fn server(keys: &mut Keys<'_>, draft: &mut Draft) {
    common_keys::read(keys, draft);
    keys.skip(&["source"]);
    if !keys.has(&["command", "url"]) {
        draft.leave_out("skipped: a Zed extension runs it; add its `command` or `url`");
    }
}
