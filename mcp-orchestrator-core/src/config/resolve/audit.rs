//! Resolves the audit log.

use crate::config::resolve::scope::{Scope, set};
use crate::config::schema::file::File;
use crate::config::settings::audit::AuditSettings;

/// Applies the entry of a file; a later file replaces an earlier one.
pub(crate) fn apply(known: &mut Option<AuditSettings>, scope: &mut Scope<'_>, file: &File) {
    let Some(entry) = &file.audit else { return };
    let path = scope.path.key("audit");
    let mut below = scope.below(path);
    let path = below.plain("file", entry.file.as_ref());
    let settings = AuditSettings {
        file: path.map(|path| below.source.resolve(&path)),
        stdout: entry.stdout.unwrap_or(false),
        log: entry.log.unwrap_or(false),
        arguments: entry.arguments.unwrap_or(false),
    };
    if settings.arguments && settings.file.is_none() && !settings.stdout {
        below.problem(
            "arguments",
            "arguments stand in lines of JSON alone: name a `file`, or say `stdout: true`",
        );
    }
    set(scope, "audit", known, Some(settings));
}
