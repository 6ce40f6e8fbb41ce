//! What every check has at hand: the file, the key that it looks at, the variables, and where to say what is wrong.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::expand::{Dialect, Expander, Variables};
use super::file::Typed;
use super::problem::{KeyPath, Position, Report};
use super::tree::Node;
use crate::value::Text;

/// A file that is being read.
#[derive(Clone)]
pub(super) struct Source {
    /// Its name, as it was given.
    pub(super) file: Arc<Path>,
    /// Where relative paths in it start.
    pub(super) folder: PathBuf,
    /// Its rules for variables.
    pub(super) dialect: Dialect,
    /// What stands in it, for the places of keys.
    pub(super) tree: Arc<Node>,
}

impl Source {
    pub(super) fn position(&self, path: &KeyPath) -> Option<Position> {
        Some(self.tree.locate(path))
    }

    pub(super) fn key_position(&self, path: &KeyPath) -> Option<Position> {
        Some(self.tree.locate_key(path))
    }

    /// Whether values of `env` and `headers` are secrets whatever they are.
    pub(super) fn is_foreign(&self) -> bool {
        matches!(self.dialect, Dialect::Foreign { .. })
    }

    /// A path of this file: a relative one starts at its folder.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }
}

/// A key that is being looked at.
pub(super) struct Scope<'a> {
    pub(super) source: &'a Source,
    pub(super) variables: &'a Variables,
    pub(super) report: &'a mut Report,
    pub(super) path: KeyPath,
}

impl Scope<'_> {
    /// The same for a key below.
    pub(super) fn below(&mut self, path: KeyPath) -> Scope<'_> {
        Scope {
            source: self.source,
            variables: self.variables,
            report: &mut *self.report,
            path,
        }
    }

    /// Something is wrong with the value of `key`, or with this scope's own where `key` is empty.
    pub(super) fn wrong(&mut self, key: &str, message: impl Into<String>) {
        let path = self.at(key);
        self.wrong_at(&path, message);
    }

    /// Something is wrong with the value there.
    pub(super) fn wrong_at(&mut self, path: &KeyPath, message: impl Into<String>) {
        let position = self.source.position(path);
        self.report
            .problem(&self.source.file, position, path, message);
    }

    /// Something is wrong with the key itself.
    pub(super) fn wrong_key(&mut self, path: &KeyPath, message: impl Into<String>) {
        let position = self.source.key_position(path);
        self.report
            .problem(&self.source.file, position, path, message);
    }

    /// Something that one should know about the value of `key`.
    pub(super) fn notice(&mut self, key: &str, message: impl Into<String>) {
        let path = self.at(key);
        let position = self.source.position(&path);
        self.report
            .notice(&self.source.file, position, &path, message);
    }

    /// Adds the problem, if there is one.
    pub(super) fn check<T, M: Into<String>>(
        &mut self,
        path: &KeyPath,
        answer: Result<T, M>,
    ) -> Option<T> {
        answer.map_err(|message| self.wrong_at(path, message)).ok()
    }

    /// Whether something at or below `key` was wrong already.
    pub(super) fn is_wrong(&self, key: &str) -> bool {
        self.report.is_wrong(&self.source.file, &self.at(key))
    }

    /// The text with its variables filled in.
    pub(super) fn text(
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

    /// The text of `key` with its variables filled in, for a place that has no secrets.
    pub(super) fn plain(&mut self, key: &str, typed: Option<&Typed>) -> Option<String> {
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
