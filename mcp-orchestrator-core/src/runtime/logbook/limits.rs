//! The limits of a log book.

/// The limits of a [`LogBook`](crate::runtime::LogBook).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogLimits {
    /// Maximum number of instances. The least recently used log is forgotten first.
    pub instances: usize,
    /// Maximum number of lines per run of an instance.
    pub lines: usize,
    /// Maximum number of bytes per run of an instance.
    pub bytes: usize,
    /// Maximum number of bytes per line; longer lines are truncated.
    pub line: usize,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            instances: 1024,
            lines: 1000,
            bytes: 128 << 10,
            line: 8 << 10,
        }
    }
}
