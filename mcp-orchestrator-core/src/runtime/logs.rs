//! An instance's own output.

use std::time::SystemTime;

/// Which lines are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Only the last so many of those that are kept.
    pub tail: Option<usize>,
    /// Go on with each new line.
    pub follow: bool,
    /// Those of the run before this one.
    pub previous: bool,
}

/// Where a line comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogSource {
    /// The program's standard error (or a pod's log).
    Stderr,
    /// What it wrote on standard output that is no message.
    Stdout,
    /// Log messages that it sent through MCP and that no caller asked for.
    Protocol,
    /// The orchestrator, about this instance.
    Orchestrator,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When it was read.
    pub at: SystemTime,
    /// Where it comes from.
    pub source: LogSource,
    /// Its text, without the line's end; cut where it was over the limit.
    pub text: String,
}
