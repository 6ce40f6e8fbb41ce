//! Parsers for the formats of individual programs.

pub(super) mod codex;
pub(super) mod continue_dev;
pub(super) mod crush;
pub(super) mod goose;
pub(super) mod opencode;
pub(super) mod zed;

use super::format::Format;
use super::keys::scalar;
use crate::config::source::node::Node;

/// Determines which program a key `mcp` belongs to: opencode has `local` and `remote` servers, Crush the usual
/// transports.
pub(super) fn of_mcp(servers: &Node) -> Option<Format> {
    servers.entries().iter().find_map(|entry| {
        let kind = entry.node.get("type").and_then(scalar);
        match kind.as_deref() {
            Some("local" | "remote") => Some(Format::OpenCode),
            Some("stdio" | "http" | "sse" | "streamable-http") => Some(Format::Crush),
            _ => None,
        }
    })
}
