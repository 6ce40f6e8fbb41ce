//! Log levels and their order.

/// Returns the severity of a log level; an unknown level is the most severe.
pub(super) fn severity(level: &str) -> usize {
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
