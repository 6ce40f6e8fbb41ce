//! Converts drafts to entries under names that are DNS labels.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::draft::Draft;
use super::syntax::Syntax;
use super::working_dir;
use crate::config::schema::server::ServerEntry;
use crate::config::source::diagnostics::{KeyPath, Report};
use crate::config::source::parsed_file::ParsedFile;
use crate::id::to_dns_label;

/// A server of a foreign file, converted.
pub(in crate::config) struct ForeignEntry {
    /// Its name in the file.
    pub(in crate::config) key: String,
    /// Its name in our own format.
    pub(in crate::config) label: String,
    /// Its key path in the file.
    pub(in crate::config) path: KeyPath,
    /// The entry.
    pub(in crate::config) entry: ServerEntry,
}

/// Converts a name to a DNS label. A name without a usable letter or digit gets a label from its hash, so that it is
/// the same at each start.
pub(in crate::config) fn label(name: &str) -> String {
    to_dns_label(name).unwrap_or_else(|| {
        let hash = Sha256::digest(name.as_bytes());
        let hex: String = hash
            .iter()
            .take(4)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("server-{hex}")
    })
}

/// Converts drafts to entries. Two drafts with the same label are a problem that names both.
pub(super) fn entries(
    source: &ParsedFile,
    report: &mut Report,
    drafts: &mut [Draft],
    syntax: Syntax,
) -> Vec<ForeignEntry> {
    let mut taken: BTreeMap<String, String> = BTreeMap::new();
    let mut entries = Vec::new();
    for draft in drafts {
        let path = draft.path.clone();
        let at = source.key_position(&path);
        if let Some(why) = draft.off.take() {
            report.notice(&source.file, at, &path, why);
            continue;
        }
        let label = label(&draft.key);
        if let Some(other) = taken.insert(label.clone(), draft.key.clone()) {
            let key = &draft.key;
            let message = format!("{other:?} and {key:?} both become {label}; rename one of them");
            report.problem(&source.file, at, &path, message);
            continue;
        }
        let mut entry = draft.entry(syntax);
        working_dir::choose(&source.folder, &mut entry);
        for remark in draft.problems.drain(..) {
            let at = source.position(&remark.path);
            report.problem(&source.file, at, &remark.path, remark.text);
        }
        for remark in draft.notices.drain(..) {
            let at = source.position(&remark.path);
            report.notice(&source.file, at, &remark.path, remark.text);
        }
        entries.push(ForeignEntry {
            key: draft.key.clone(),
            label,
            path,
            entry,
        });
    }
    entries
}
