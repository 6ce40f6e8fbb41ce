//! The context of every check: the file, the current key, the variables, and the report.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::schema::file::Typed;
use crate::config::source::diagnostics::{KeyPath, Position, Report};
use crate::config::source::interpolate::{Dialect, Expander, Variables};
use crate::config::source::node::Node;
use crate::value::Text;

/// A file that is being read.
#[derive(Clone)]
pub(crate) struct Source {
    /// Its name, as given.
    pub(crate) file: Arc<Path>,
    /// The folder against which relative paths are resolved.
    pub(crate) folder: PathBuf,
    /// Its rules for variables.
    pub(crate) dialect: Dialect,
    /// Its content, used to find the positions of keys.
    pub(crate) tree: Arc<Node>,
}

impl Source {
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

/// The key that is being checked.
pub(crate) struct Scope<'a> {
    pub(crate) source: &'a Source,
    pub(crate) variables: &'a Variables,
    pub(crate) report: &'a mut Report,
    pub(crate) path: KeyPath,
}

impl Scope<'_> {
    /// Returns the scope of a key below.
    pub(crate) fn below(&mut self, path: KeyPath) -> Scope<'_> {
        Scope {
            source: self.source,
            variables: self.variables,
            report: &mut *self.report,
            path,
        }
    }

    /// Reports a problem with the value of `key`, or of this scope's own key if `key` is empty.
    pub(crate) fn wrong(&mut self, key: &str, message: impl Into<String>) {
        let path = self.at(key);
        self.wrong_at(&path, message);
    }

    /// Reports a problem with the value at this path.
    pub(crate) fn wrong_at(&mut self, path: &KeyPath, message: impl Into<String>) {
        let position = self.source.position(path);
        self.report
            .problem(&self.source.file, position, path, message);
    }

    /// Reports a problem with the key itself.
    pub(crate) fn wrong_key(&mut self, path: &KeyPath, message: impl Into<String>) {
        let position = self.source.key_position(path);
        self.report
            .problem(&self.source.file, position, path, message);
    }

    /// Adds a notice about the value of `key`.
    pub(crate) fn notice(&mut self, key: &str, message: impl Into<String>) {
        let path = self.at(key);
        let position = self.source.position(&path);
        self.report
            .notice(&self.source.file, position, &path, message);
    }

    /// Reports the error, if there is one.
    pub(crate) fn check<T, M: Into<String>>(
        &mut self,
        path: &KeyPath,
        answer: Result<T, M>,
    ) -> Option<T> {
        answer.map_err(|message| self.wrong_at(path, message)).ok()
    }

    /// Returns `true` if a problem at or below `key` was already reported.
    pub(crate) fn is_wrong(&self, key: &str) -> bool {
        self.report.is_wrong(&self.source.file, &self.at(key))
    }

    /// Expands the variables of a text.
    pub(crate) fn text(
        &mut self,
        path: &KeyPath,
        typed: &Typed,
        keep: Option<&str>,
    ) -> Option<Text> {
        let expander = Expander {
            variables: self.variables,
            dialect: &self.source.dialect,
        };
        match expander.expand(&typed.0, keep) {
            Ok(text) if text.expose().contains('\0') => {
                self.wrong_at(path, "no NUL character may stand in it");
                None
            }
            Ok(text) => Some(text),
            Err(messages) => {
                for message in messages {
                    self.wrong_at(path, message);
                }
                None
            }
        }
    }

    /// Expands the variables of the text of `key`, for a value that is not a secret.
    pub(crate) fn plain(&mut self, key: &str, typed: Option<&Typed>) -> Option<String> {
        let path = self.at(key);
        let text = self.text(&path, typed?, None)?;
        if text.expose().trim().is_empty() {
            self.wrong_at(&path, "it is empty");
            return None;
        }
        Some(text.expose().to_owned())
    }

    fn at(&self, key: &str) -> KeyPath {
        if key.is_empty() {
            self.path.clone()
        } else {
            self.path.key(key)
        }
    }
}
