//! Where it is told who did what: as typed → as meant → made.

use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::file::{File, Typed};
use super::globals::set;
use super::scope::Scope;
use crate::audit::{Audit, AuditSink, JsonLines, TracingSink};
use crate::error::Result;

/// Where it is told who did what with whose credential. Each call is an event, and each change of credentials and tokens.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuditEntry {
    /// A file to which each event is appended as a line of JSON.
    pub file: Option<Typed>,
    /// Whether each event is a line of JSON on standard output; absent: false.
    pub stdout: Option<bool>,
    /// Whether each event is told in the program's own log, under the target `audit`; absent: false.
    pub log: Option<bool>,
    /// Whether the lines of JSON hold the arguments of tools and prompts; absent: false. They may be confidential.
    pub arguments: Option<bool>,
}

/// Where it is told who did what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditSettings {
    /// Lines of JSON are appended to this file.
    pub file: Option<PathBuf>,
    /// Lines of JSON go to standard output.
    pub stdout: bool,
    /// Events go to `tracing`.
    pub log: bool,
    /// The lines hold arguments.
    pub arguments: bool,
}

impl AuditSettings {
    /// Takes over what a file says; the later file counts.
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

    /// The sinks.
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
