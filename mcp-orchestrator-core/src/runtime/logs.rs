//! Log lines of an instance.

use std::time::SystemTime;

/// Selects log lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Return at most this many of the most recent stored lines.
    pub tail: Option<usize>,
    /// Continue with new lines as they arrive.
    pub follow: bool,
    /// Return the lines of the previous run.
    pub previous: bool,
}

/// The source of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogSource {
    /// The program's standard error, or a pod's log.
    Stderr,
    /// Standard output that is not a valid message.
    Stdout,
    /// MCP log notifications that no caller asked for.
    Protocol,
    /// Notes of the orchestrator about this instance.
    Orchestrator,
}

/// A log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When the line was read.
    pub at: SystemTime,
    /// The source of the line.
    pub source: LogSource,
    /// The text without the line terminator, truncated to the size limit.
    pub text: String,
}
