//! The context of every check: the file, the current key, the variables, and the report.

use crate::config::schema::value::Typed;
use crate::config::source::diagnostics::{KeyPath, Report};
use crate::config::source::interpolate::{Expander, Variables};
use crate::config::source::parsed_file::ParsedFile;
use crate::value::Text;

/// The key that is being checked.
pub(crate) struct Scope<'a> {
    pub(crate) source: &'a ParsedFile,
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
    pub(crate) fn problem(&mut self, key: &str, message: impl Into<String>) {
        let path = self.at(key);
        self.problem_at(&path, message);
    }

    /// Reports a problem with the value at this path.
    pub(crate) fn problem_at(&mut self, path: &KeyPath, message: impl Into<String>) {
        let position = self.source.position(path);
        self.report
            .problem(&self.source.file, position, path, message);
    }

    /// Reports a problem with the key itself.
    pub(crate) fn problem_at_key(&mut self, path: &KeyPath, message: impl Into<String>) {
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
        answer
            .map_err(|message| self.problem_at(path, message))
            .ok()
    }

    /// Returns `true` if a problem at or below `key` was already reported.
    pub(crate) fn has_problem(&self, key: &str) -> bool {
        self.report.has_problem(&self.source.file, &self.at(key))
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
                self.problem_at(path, "must not contain a NUL character");
                None
            }
            Ok(text) => Some(text),
            Err(messages) => {
                for message in messages {
                    self.problem_at(path, message);
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
            self.problem_at(&path, "must not be empty");
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

/// Sets a value. If it replaces the value of an earlier file, reports that.
pub(crate) fn set<T>(scope: &mut Scope<'_>, key: &str, known: &mut Option<T>, new: Option<T>) {
    if new.is_some() {
        if known.is_some() {
            scope.notice(key, "also set in an earlier file; this value is used");
        }
        *known = new;
    }
}
