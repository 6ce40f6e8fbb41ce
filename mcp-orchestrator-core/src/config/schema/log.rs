//! File entries of the log and the audit log.
//!
//! The doc comments become the descriptions in the JSON Schema.

use schemars::JsonSchema;
use serde::Deserialize;

use super::value::Typed;

/// Format and level of the log.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct LogEntry {
    /// `text` for people, `json` for programs. Default: `text`.
    pub format: Option<LogFormatEntry>,
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,mcp_orchestrator_core=debug`. Default:
    /// `info`.
    pub level: Option<Typed>,
}

/// Format of log lines.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "LogFormat")]
#[non_exhaustive]
pub enum LogFormatEntry {
    /// Text, for people.
    Text,
    /// JSON, for programs.
    Json,
}

/// The audit log: who did what with whose credential. Each call is an event, and each change of credentials and tokens.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct AuditEntry {
    /// File to which each event is appended as a line of JSON.
    pub file: Option<Typed>,
    /// Writes each event to standard output as a line of JSON. Default: false.
    pub stdout: Option<bool>,
    /// Emits each event to the program's own log, under the target `audit`. Default: false.
    pub log: Option<bool>,
    /// Includes the arguments of tools and prompts, which may be confidential, in the lines of JSON. Default: false.
    pub arguments: Option<bool>,
}
