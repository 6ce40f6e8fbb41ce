//! Settings of the audit log.

use std::path::PathBuf;

/// The sinks of the audit log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditSettings {
    /// Appends events to this file as lines of JSON.
    pub file: Option<PathBuf>,
    /// Writes events to standard output as lines of JSON.
    pub stdout: bool,
    /// Emits events through `tracing`.
    pub log: bool,
    /// Includes the arguments of tools and prompts in the lines of JSON.
    pub arguments: bool,
}
