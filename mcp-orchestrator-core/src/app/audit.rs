//! Opens the sinks of the audit log.

use std::sync::Arc;

use crate::audit::{Audit, AuditSink, JsonLines, TracingSink};
use crate::config::AuditSettings;
use crate::error::Result;

/// Opens the sinks of these settings.
pub(super) fn open(settings: &AuditSettings) -> Result<Audit> {
    let mut sinks: Vec<Arc<dyn AuditSink>> = Vec::new();
    if let Some(path) = &settings.file {
        sinks.push(Arc::new(JsonLines::to_file(path, settings.arguments)?));
    }
    if settings.stdout {
        sinks.push(Arc::new(JsonLines::to_stdout(settings.arguments)?));
    }
    if settings.log {
        sinks.push(Arc::new(TracingSink));
    }
    Ok(Audit::new(sinks))
}
