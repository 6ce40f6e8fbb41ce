//! Log levels and their order.

/// How severe a log level is; an unknown one is the most severe.
pub(super) fn severity(level: &str) -> usize {
    severity_of(level).unwrap_or(usize::MAX)
}

/// How severe a log level is (RFC 5424); `None` for an unknown one.
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
