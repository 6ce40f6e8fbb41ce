//! The audit log: file entry, settings and sinks.

use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::file::{File, Typed};
use super::globals::set;
use super::scope::Scope;
use crate::audit::{Audit, AuditSink, JsonLines, TracingSink};
use crate::error::Result;

/// The audit log: who did what with whose credential. Each call is an event, and each change of credentials and tokens.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
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

/// The sinks of the audit log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

impl AuditSettings {
    /// Applies the entry of a file; a later file replaces an earlier one.
    pub(super) fn take(known: &mut Option<Self>, scope: &mut Scope<'_>, file: &File) {
        let Some(entry) = &file.audit else { return };
        let path = scope.path.key("audit");
        let mut below = scope.below(path);
        let path = below.plain("file", entry.file.as_ref());
        let settings = Self {
            file: path.map(|path| below.source.resolve(&path)),
            stdout: entry.stdout.unwrap_or(false),
            log: entry.log.unwrap_or(false),
            arguments: entry.arguments.unwrap_or(false),
        };
        if settings.arguments && settings.file.is_none() && !settings.stdout {
            below.wrong(
                "arguments",
                "arguments stand in lines of JSON alone: name a `file`, or say `stdout: true`",
            );
        }
        set(scope, "audit", known, Some(settings));
    }

    /// Opens the sinks.
    pub(super) fn open(&self) -> Result<Audit> {
        let mut sinks: Vec<Arc<dyn AuditSink>> = Vec::new();
        if let Some(path) = &self.file {
            sinks.push(Arc::new(JsonLines::to_file(path, self.arguments)?));
        }
        if self.stdout {
            sinks.push(Arc::new(JsonLines::to_stdout(self.arguments)?));
        }
        if self.log {
            sinks.push(Arc::new(TracingSink));
        }
        Ok(Audit::new(sinks))
    }
}
