//! Converts foreign texts to our own syntax: inputs become variables, paths are filled in, everything else is escaped.

use std::collections::BTreeMap;

use secrecy::ExposeSecret as _;

use super::imported::{ImportedVariable, server_variable};
use super::options::ImportValues;
use crate::config::foreign::{TextLocation, for_each_text};
use crate::config::resolve::check;
use crate::config::schema::server::ServerEntry;
use crate::config::schema::value::{TextOr, Typed};
use crate::config::source::interpolate::{
    self, Dialect, LITERAL_DOLLAR, Piece, Variables, input_variable, pieces,
};
use crate::config::source::parsed_file::ParsedFile;
use crate::id::ServerId;

/// Collects the variables that the entries of a file name.
#[derive(Clone)]
pub(super) struct Translation<'s> {
    values: ImportValues,
    source: &'s ParsedFile,
    variables: BTreeMap<String, ImportedVariable>,
    /// The input behind each variable, so that two inputs never share a variable.
    inputs: BTreeMap<String, String>,
    notices: Vec<String>,
}

/// A part of a text in our own syntax.
pub(super) enum Part {
    /// Literal text.
    Literal(String),
    /// The text between `${` and `}`.
    Reference(String),
}

impl<'s> Translation<'s> {
    pub(super) fn new(source: &'s ParsedFile, values: ImportValues) -> Self {
        Self {
            values,
            source,
            variables: BTreeMap::new(),
            inputs: BTreeMap::new(),
            notices: Vec::new(),
        }
    }

    /// Returns the variables, by name.
    pub(super) fn variables(self) -> Vec<ImportedVariable> {
        self.variables.into_values().collect()
    }

    /// Returns the notices about the entry that was converted last.
    pub(super) fn take_notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }

    /// Converts an entry to our own syntax.
    pub(super) fn entry(&mut self, id: &ServerId, mut entry: ServerEntry) -> ServerEntry {
        self.own_headers(&mut entry);
        for_each_text(&mut entry, &mut |place, typed| {
            *typed = Typed(match place {
                TextLocation::Key(key) => self.text(&typed.0, &format!("{id}.{key}")),
                TextLocation::Env(name) => self.value(&typed.0, id, "env", name),
                TextLocation::Header(name) => self.value(&typed.0, id, "headers", name),
                TextLocation::ClientSecret => self.value(&typed.0, id, "oauth", "client_secret"),
            });
        });
        self.paths(&mut entry);
        for name in entry.inherit_env.iter().flatten() {
            self.uses(name, &format!("{id}.inherit_env"), Kind::Theirs);
        }
        for slot in entry.credentials.iter().flatten() {
            if let Some(name) = &slot.from_env {
                self.uses(name, &format!("{id}.credentials"), Kind::Theirs);
            }
        }
        one_list(&mut entry);
        entry
    }

    /// Removes headers that the orchestrator sets itself.
    fn own_headers(&mut self, entry: &mut ServerEntry) {
        let Some(headers) = &mut entry.headers else {
            return;
        };
        headers.retain(|name, _| {
            let own = check::header_name(name).is_ok_and(|name| check::is_own_header(&name));
            if own {
                let text = format!("the header {name} is left out: the gateway sets it");
                self.notices.push(text);
            }
            !own
        });
        if headers.is_empty() {
            entry.headers = None;
        }
    }

    /// Resolves relative paths against the folder of the file.
    fn paths(&self, entry: &mut ServerEntry) {
        let absolute = |typed: &mut Typed| {
            let there = self.source.resolve(&typed.0);
            if !typed.0.is_empty() && !typed.0.starts_with("${") && there.is_absolute() {
                // Normalized as far as possible without accessing the file system.
                let there: std::path::PathBuf = there.components().collect();
                typed.0 = there.to_string_lossy().into_owned();
            }
        };
        entry.cwd.iter_mut().for_each(absolute);
        entry.env_file.iter_mut().for_each(absolute);
        let program = match &mut entry.command {
            Some(TextOr::Text(program)) => Some(program),
            Some(TextOr::Other(list)) => list.first_mut(),
            None => None,
        };
        if let Some(program) = program.filter(|program| program.0.contains('/')) {
            absolute(program);
        }
    }

    fn value(&mut self, text: &str, id: &ServerId, section: &str, name: &str) -> String {
        let used_by = format!("{id}.{section}.{name}");
        let refers = pieces(text, false).iter().any(|piece| {
            matches!(piece, Piece::Reference(reference)
                if reference.starts_with("input:") || reference.starts_with("env:")
                    || interpolate::variable(reference).is_some())
        });
        let says_nothing = matches!(text, "" | "true" | "false");
        if refers || says_nothing || self.values == ImportValues::Keep {
            return self.text(text, &used_by);
        }
        let first = server_variable(id, name);
        let numbered = (2..1000).map(|number| format!("{first}_{number}"));
        let mut candidates = std::iter::once(first.clone()).chain(numbered);
        let free = candidates.find(|candidate| !self.variables.contains_key(candidate));
        let variable = free.unwrap_or(first);
        self.uses(&variable, &used_by, Kind::LeftBehind);
        format!("${{{variable}}}")
    }

    /// Converts a text to our own syntax.
    fn text(&mut self, text: &str, used_by: &str) -> String {
        let mut parts: Vec<Part> = Vec::new();
        let mut literal = String::new();
        for piece in pieces(text, false) {
            match piece {
                Piece::Literal(text) => literal.push_str(text),
                Piece::Unclosed => {
                    let at = text.rfind("${").unwrap_or(text.len());
                    literal.push_str(&text[at..]);
                }
                Piece::Reference(reference) => match self.reference(reference, used_by) {
                    Part::Literal(text) => literal.push_str(&text),
                    reference @ Part::Reference(_) => {
                        parts.push(Part::Literal(std::mem::take(&mut literal)));
                        parts.push(reference);
                    }
                },
            }
        }
        parts.push(Part::Literal(literal));
        rendered(&parts)
    }

    fn reference(&mut self, reference: &str, used_by: &str) -> Part {
        let literal = |text: &str| Part::Literal(text.to_owned());
        if format!("${{{reference}}}") == LITERAL_DOLLAR {
            return literal("$");
        }
        if let Some(id) = reference.strip_prefix("input:") {
            return self.input(id, used_by);
        }
        if reference == "userHome" {
            return Part::Reference("HOME".to_owned());
        }
        if let Dialect::Foreign { workspace, .. } = &self.source.dialect
            && let Some(place) =
                interpolate::path_variable(reference, workspace, &Variables::default())
        {
            return Part::Literal(place);
        }
        let named = reference.strip_prefix("env:").unwrap_or(reference);
        match interpolate::variable(named) {
            Some((name, default)) => {
                if default.is_none() || name != "HOME" {
                    self.uses(name, used_by, Kind::Theirs);
                }
                Part::Reference(named.to_owned())
            }
            None => Part::Literal(format!("${{{reference}}}")),
        }
    }

    fn input(&mut self, id: &str, used_by: &str) -> Part {
        let first = input_variable(id);
        let numbered = (2..1000).map(|number| format!("{first}_{number}"));
        let mut candidates = std::iter::once(first.clone()).chain(numbered);
        let free = |candidate: &String| self.inputs.get(candidate).is_none_or(|known| known == id);
        let variable = candidates.find(free).unwrap_or(first);
        self.inputs.insert(variable.clone(), id.to_owned());
        let input = match &self.source.dialect {
            Dialect::Foreign { inputs, .. } => inputs.get(id),
            Dialect::Own => None,
        };
        let default = input.and_then(|input| Some((input.password, input.default.as_ref()?)));
        match default {
            Some((false, default)) if !default.expose_secret().contains(['}', '$']) => {
                return Part::Reference(format!("{variable}:-{}", default.expose_secret()));
            }
            Some(_) => {
                let text = format!(
                    "the default of the input {id:?} is not copied; set the variable {variable}"
                );
                self.notices.push(text);
            }
            None => {}
        }
        self.uses(&variable, used_by, Kind::Ours);
        Part::Reference(variable)
    }

    fn uses(&mut self, variable: &str, used_by: &str, kind: Kind) {
        let known = self.variables.entry(variable.to_owned());
        let entry = known.or_insert_with(|| ImportedVariable {
            name: variable.to_owned(),
            used_by: Vec::new(),
            left_behind: kind == Kind::LeftBehind,
            theirs: kind == Kind::Theirs,
        });
        if !entry.used_by.iter().any(|known| known == used_by) {
            entry.used_by.push(used_by.to_owned());
        }
    }
}

/// Why an entry names a variable.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It replaces a value that was not copied.
    LeftBehind,
    /// It replaces an input.
    Ours,
    /// The file names it.
    Theirs,
}

/// Renders parts as one text in which only the references are read as such. A `$` before a reference would escape it
/// and is written as `${:-$}`; a `$` and a `{` from two adjacent parts form one literal.
pub(super) fn rendered(parts: &[Part]) -> String {
    let mut text = String::new();
    let mut literal = String::new();
    for part in parts {
        match part {
            Part::Literal(part) => literal.push_str(part),
            Part::Reference(reference) => {
                let before = literal.trim_end_matches('$');
                let dollars = &literal[before.len()..];
                text.push_str(&escaped(before));
                if !dollars.is_empty() {
                    text.push_str(&format!("${{:-{dollars}}}"));
                }
                text.push_str(&format!("${{{reference}}}"));
                literal.clear();
            }
        }
    }
    text.push_str(&escaped(&literal));
    text
}

/// Escapes a text so that our own format reads it literally.
pub(super) fn escaped(text: &str) -> String {
    text.replace("${", "$${")
}

/// Combines program and arguments to one list, as in our own format.
fn one_list(entry: &mut ServerEntry) {
    if let Some(TextOr::Text(program)) = &entry.command {
        let mut list = vec![program.clone()];
        list.extend(entry.args.take().unwrap_or_default());
        entry.command = Some(TextOr::Other(list));
    }
}
