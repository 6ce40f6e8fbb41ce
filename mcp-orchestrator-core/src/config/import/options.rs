//! Options of an import.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::source::diagnostics::{KeyPath, Report};
use crate::id::ServerId;

/// What happens to values in `env` and `headers`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImportValues {
    /// They become `${NAME}`; the values themselves are not copied.
    #[default]
    Reference,
    /// They are copied unchanged, and are then shown like any plain text.
    Keep,
}

/// Options of an import.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// The value of `${workspaceFolder}`; `None` derives it from the location of the file.
    pub workspace: Option<PathBuf>,
    /// What happens to values that may be secrets.
    pub values: ImportValues,
    /// `true` if images can run; they are then preferred over programs and remote servers.
    pub containers: bool,
    /// The name for the server, if the file contains exactly one.
    pub name: Option<ServerId>,
    /// Import only these servers, by their names in the file or here; empty imports all.
    pub only: Vec<String>,
}

impl ImportOptions {
    /// Returns `true` if a server with one of these names is to be imported.
    pub(super) fn wants(&self, names: &[&str]) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| names.contains(&only.as_str()))
    }

    /// Reports a problem if a name is given for more than one server.
    pub(super) fn check_name(&self, file: &Arc<Path>, report: &mut Report, servers: usize) {
        if self.name.is_some() && servers > 1 {
            let message = format!(
                "a name is given for one server, and the file has {servers}: choose one of them"
            );
            report.problem(file, None, &KeyPath::default(), message);
        }
    }
}
