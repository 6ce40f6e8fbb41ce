//! Log levels and their order.

use super::Session;
use crate::jsonrpc::{Members, Message, text};
use crate::protocol::method;

impl Session {
    /// Returns `true` unless it is a log message below the level that the client wants.
    pub(super) fn wants(&self, message: &Message) -> bool {
        if message.method() != method::LOG_MESSAGE {
            return true;
        }
        let facts = self.facts.load();
        let Some(wanted) = &facts.log_level else {
            return true;
        };
        has_level(message, wanted)
    }
}

/// Returns `true` if a log message has at least this level. A message of an unknown level does.
pub(crate) fn has_level(message: &Message, wanted: &str) -> bool {
    let members = message.body().and_then(Members::read).unwrap_or_default();
    let level = members.get("level").and_then(text).unwrap_or_default();
    severity(&level) >= severity(wanted)
}

/// Returns the severity of a log level; an unknown level is the most severe.
fn severity(level: &str) -> usize {
    severity_of(level).unwrap_or(usize::MAX)
}

/// Returns the severity of a log level (RFC 5424), or `None` for an unknown level.
pub(crate) fn severity_of(level: &str) -> Option<usize> {
    const LEVELS: [&str; 8] = [
        "debug",
        "info",
        "notice",
        "warning",
        "error",
        "critical",
        "alert",
        "emergency",
    ];
    LEVELS.iter().position(|known| *known == level)
}
