//! Imports the servers of another program's configuration file.

use std::path::Path;
use std::sync::Arc;

use super::imported::Imported;
use super::options::ImportOptions;
use super::risk::{self, Origin};
use super::translate::Translation;
use super::verify;
use crate::config::foreign::{self, ForeignEntry, ForeignFile};
use crate::config::source::diagnostics::{Problems, Report};
use crate::config::source::interpolate::Dialect;
use crate::config::source::node::Node;
use crate::config::source::parsed_file::ParsedFile;
use crate::id::ServerId;

/// Imports the servers of a foreign file. A server that the load would reject is left out, with a notice.
///
/// # Errors
/// The problems of the file, or of its servers if none remains.
pub(super) fn imported(
    name: &Arc<Path>,
    tree: Node,
    found: &ForeignFile,
    options: &ImportOptions,
) -> Result<Imported, Problems> {
    let mut report = Report::default();
    let source = source(name, tree, options);
    let mut entries = found.servers(&source, &mut report);
    entries.retain(|entry| {
        options.wants(&[&entry.key, &entry.label]) && !report.has_problem(name, &entry.path)
    });
    let own_name = options.name.as_ref().filter(|_| entries.len() == 1);
    let mut importer = Importer {
        source: &source,
        options,
        translation: Translation::new(&source, options.values),
        report,
        imported: Imported::default(),
    };
    for entry in entries {
        importer.add(entry, own_name);
    }
    let Importer {
        translation,
        mut report,
        mut imported,
        ..
    } = importer;
    options.check_name(name, &mut report, imported.servers.len());
    if !imported.servers.is_empty() {
        report.demote_below(name, &found.path(), "; this server is left out");
    }
    imported.variables = translation.variables();
    imported.notices = report.finish(&[])?;
    Ok(imported)
}

fn source(name: &Arc<Path>, tree: Node, options: &ImportOptions) -> ParsedFile {
    let elsewhere = name.to_string_lossy().contains("://");
    let parent = name.parent().filter(|_| !elsewhere);
    let folder = parent.map(|parent| match parent.as_os_str().is_empty() {
        true => Path::new("."),
        false => parent,
    });
    let folder = folder.map(std::path::absolute).and_then(Result::ok);
    let folder = folder.unwrap_or_default();
    let workspace = options.workspace.clone();
    let workspace = workspace.unwrap_or_else(|| foreign::workspace(&folder));
    let inputs = foreign::inputs(&tree);
    ParsedFile {
        file: Arc::clone(name),
        folder: workspace.clone(),
        dialect: Dialect::Foreign { workspace, inputs },
        tree: tree.into(),
    }
}

struct Importer<'s> {
    source: &'s ParsedFile,
    options: &'s ImportOptions,
    translation: Translation<'s>,
    report: Report,
    imported: Imported,
}

impl Importer<'_> {
    /// Adds a server, under this name if one is given.
    fn add(&mut self, entry: ForeignEntry, own_name: Option<&ServerId>) {
        let (path, file) = (entry.path, &self.source.file);
        let at = self.source.key_position(&path);
        let id = own_name.cloned();
        let id = match id.map_or_else(|| ServerId::new(&entry.label), Ok) {
            Ok(id) => id,
            Err(error) => return self.report.problem(file, at, &path, error.to_string()),
        };
        // The variables of a server that is left out are not needed.
        let mut translation = self.translation.clone();
        let made = translation.entry(&id, entry.entry);
        let wrong = verify::problems(&id, &made);
        if !wrong.is_empty() {
            let wrong = wrong.join("; ");
            let message = format!("left out: {wrong}; correct it, and import it again");
            return self.report.notice(file, at, &path, message);
        }
        self.translation = translation;
        if entry.key != id.as_str() {
            let message = format!("renamed to {id}");
            self.report.notice(file, at, &path, message);
        }
        for notice in self.translation.take_notices() {
            self.report.notice(file, at, &path, notice);
        }
        let origin = Origin::Program(self.options.values);
        risk::assess(&id, &made, origin, &mut self.imported.risks);
        self.imported.servers.push((id, made));
    }
}
