//! A parsed file, with what is needed to resolve its paths and variables.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::diagnostics::{KeyPath, Position};
use super::interpolate::Dialect;
use super::node::Node;

/// A parsed file.
#[derive(Clone)]
pub(crate) struct ParsedFile {
    /// Its name, as given.
    pub(crate) file: Arc<Path>,
    /// The folder against which relative paths are resolved.
    pub(crate) folder: PathBuf,
    /// Its rules for variables.
    pub(crate) dialect: Dialect,
    /// Its content, used to find the positions of keys.
    pub(crate) tree: Arc<Node>,
}

impl ParsedFile {
    pub(crate) fn position(&self, path: &KeyPath) -> Option<Position> {
        Some(self.tree.locate(path))
    }

    pub(crate) fn key_position(&self, path: &KeyPath) -> Option<Position> {
        Some(self.tree.locate_key(path))
    }

    /// Returns `true` if all values of `env` and `headers` are treated as secrets.
    pub(crate) fn is_foreign(&self) -> bool {
        matches!(self.dialect, Dialect::Foreign { .. })
    }

    /// Resolves a path in this file; a relative path is resolved against its folder.
    pub(crate) fn resolve(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }
}
