//! Turns a file of another program into entries of our own format.
//!
//! A value of `env` or `headers` there is a secret for all we know, and an import must not copy secrets from file to
//! file unseen. So, unless told otherwise, each becomes a reference to a variable, and the answer says which variables
//! the new file needs. Values that are references already stay references. Arguments and addresses are copied.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::expand::{self, Dialect, Piece, Variables, input_variable, pieces};
use super::file::{TextOr, Typed};
use super::file_server::ServerEntry;
use super::jsonc;
use super::load;
use super::mcp_servers::{self, ForeignEntry, Shape};
use super::parse;
use super::problem::{KeyPath, Notice, Problems, Report};
use super::registry;
use super::scope::Source;
use crate::id::ServerId;

/// How long a file elsewhere may take to come.
#[cfg(feature = "fetch")]
const FETCH: std::time::Duration = std::time::Duration::from_secs(20);

/// What becomes of values that stand in `env` and `headers`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImportValues {
    /// They become `${NAME}`; the values themselves stay where they are.
    #[default]
    Reference,
    /// They are copied as they are. In our own format they are then shown like any plain text.
    Keep,
}

/// What came of an import.
#[derive(Clone, Debug, Default)]
pub struct Imported {
    /// The servers, by their new names, in the order of the file.
    pub servers: Vec<(ServerId, ServerEntry)>,
    /// The variables that the new entries name.
    pub variables: Vec<ImportedVariable>,
    /// What is worth saying, as a changed name.
    pub notices: Vec<Notice>,
}

/// A variable that imported servers need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedVariable {
    /// Its name.
    pub name: String,
    /// Where it is used, as `github.env.TOKEN`.
    pub used_by: Vec<String>,
    /// Whether the foreign file has its value, which was not copied.
    pub left_behind: bool,
}

/// Reads a foreign file for an import. `workspace`: as in [`LoadOptions`](super::LoadOptions).
///
/// # Errors
/// Everything that is wrong with it; it is no such file.
pub fn import_file(
    file: &Path,
    workspace: Option<&Path>,
    values: ImportValues,
) -> Result<Imported, Problems> {
    let text = load::read(file).map_err(|message| {
        let mut report = Report::default();
        report.problem(&file.into(), None, &KeyPath::default(), message);
        finish(report)
    })?;
    import_text(file, &text, workspace, values)
}

/// The same for one that stands elsewhere, as a `server.json` in the registry.
///
/// # Errors
/// As [`import_file`], and why it cannot be had.
#[cfg(feature = "fetch")]
pub async fn import_url(url: &str, values: ImportValues) -> Result<Imported, Problems> {
    use crate::fetch::{AddressGuard, Ask, Fetcher, Redirects, Trust};
    use crate::outbound::Connector;
    let file = Path::new(url);
    let fetcher = Fetcher::new(AddressGuard::default(), FETCH, Connector::default());
    // Whoever types it says what is asked.
    let ask = Ask::get(url, Trust::Configured, Redirects::Follow);
    let answer = fetcher.ask(ask).await;
    let text = answer.map_err(|error| error.to_string()).and_then(|it| {
        if !it.status.is_success() {
            return Err(format!("it answered {}", it.status));
        }
        String::from_utf8(it.body.to_vec()).map_err(|_| "it is no text".to_owned())
    });
    match text {
        Ok(text) => import_text(file, &text, None, values),
        Err(why) => {
            let mut report = Report::default();
            report.problem(&file.into(), None, &KeyPath::default(), why);
            Err(finish(report))
        }
    }
}

/// The same for a text at hand.
///
/// # Errors
/// As [`import_file`].
pub fn import_text(
    file: &Path,
    text: &str,
    workspace: Option<&Path>,
    values: ImportValues,
) -> Result<Imported, Problems> {
    if let Some(description) = registry::description(text) {
        return registry::imported(file, description);
    }
    let mut report = Report::default();
    let Some((source, shape)) = source(file, text, workspace, &mut report) else {
        return Err(finish(report));
    };
    let entries = mcp_servers::servers(&source, shape, &mut report);
    let Dialect::Foreign { workspace, .. } = &source.dialect else {
        return Err(finish(report));
    };
    let mut import = Import {
        values,
        workspace,
        variables: BTreeMap::new(),
        taken: BTreeMap::new(),
    };
    let mut servers = Vec::new();
    for foreign in entries {
        if foreign.key != foreign.label {
            let message = format!("it is called {} here", foreign.label);
            report.notice(
                &source.file,
                source.key_position(&foreign.path),
                &foreign.path,
                message,
            );
        }
        match ServerId::new(&foreign.label) {
            Ok(id) => servers.push((id, import.entry(foreign))),
            Err(error) => report.problem(&source.file, None, &foreign.path, error.to_string()),
        }
    }
    let variables = import.variables.into_values().collect();
    let notices = report.finish(&[])?;
    Ok(Imported {
        servers,
        variables,
        notices,
    })
}

pub(super) fn finish(report: Report) -> Problems {
    report.finish(&[]).err().unwrap_or(Problems {
        problems: Vec::new(),
        notices: Vec::new(),
    })
}

fn source(
    file: &Path,
    text: &str,
    workspace: Option<&Path>,
    report: &mut Report,
) -> Option<(Source, Shape)> {
    let name = file.into();
    let text = jsonc::readable(file, text);
    let tree = match parse::parse(&text) {
        Ok((Some(tree), _)) => tree,
        Ok((None, _)) => {
            report.problem(&name, None, &KeyPath::default(), "the file is empty");
            return None;
        }
        Err(flaw) => {
            report.problem(&name, Some(flaw.position), &flaw.path, flaw.message);
            return None;
        }
    };
    let shape = Shape::of(&tree, file).or_else(|| tree.get("servers").map(|_| Shape::VsCode));
    let Some(shape) = shape else {
        report.problem(
            &name,
            None,
            &KeyPath::default(),
            "there is neither `mcpServers` nor `servers` in this file",
        );
        return None;
    };
    let folder = file
        .parent()
        .map(std::path::absolute)
        .and_then(Result::ok)
        .unwrap_or_default();
    let workspace = workspace.map_or_else(|| mcp_servers::workspace(&folder), PathBuf::from);
    let inputs = mcp_servers::inputs(&tree);
    let dialect = Dialect::Foreign { workspace, inputs };
    Some((
        Source {
            file: name,
            folder,
            dialect,
            tree: tree.into(),
        },
        shape,
    ))
}

struct Import<'s> {
    values: ImportValues,
    workspace: &'s Path,
    variables: BTreeMap<String, ImportedVariable>,
    /// Which value a new variable stands for, so that two values never share one.
    taken: BTreeMap<String, String>,
}

impl Import<'_> {
    fn entry(&mut self, foreign: ForeignEntry) -> ServerEntry {
        let (label, mut entry) = (foreign.label, foreign.entry);
        let mut all = |typed: &mut Typed, key: &str| {
            *typed = Typed(self.translate(&typed.0, &format!("{label}.{key}")));
        };
        match &mut entry.command {
            Some(TextOr::Text(program)) => all(program, "command"),
            Some(TextOr::Other(list)) => list.iter_mut().for_each(|text| all(text, "command")),
            None => {}
        }
        entry
            .args
            .iter_mut()
            .flatten()
            .for_each(|text| all(text, "args"));
        entry.url.iter_mut().for_each(|text| all(text, "url"));
        entry.cwd.iter_mut().for_each(|text| all(text, "cwd"));
        entry
            .env_file
            .iter_mut()
            .for_each(|text| all(text, "env_file"));
        for (name, value) in entry.env.iter_mut().flatten() {
            *value = self.value(&value.0, &label, "env", name);
        }
        for (name, value) in entry.headers.iter_mut().flatten() {
            *value = self.value(&value.0, &label, "headers", name);
        }
        one_list(&mut entry);
        entry
    }

    fn value(&mut self, text: &str, label: &str, section: &str, name: &str) -> Typed {
        let used_by = format!("{label}.{section}.{name}");
        let has_reference = pieces(text, false).iter().any(|piece| {
            matches!(piece, Piece::Reference(reference)
                if reference.starts_with("input:") || reference.starts_with("env:") || expand::variable(reference).is_some())
        });
        if has_reference || self.values == ImportValues::Keep {
            return Typed(self.translate(text, &used_by));
        }
        let own = variable_name(name);
        let with_server = format!("{}_{own}", variable_name(label));
        let candidates = if section == "env" {
            vec![own, with_server]
        } else {
            vec![with_server]
        };
        let numbered = (2..).map(|number| format!("{}_{number}", candidates[candidates.len() - 1]));
        let free = candidates
            .iter()
            .cloned()
            .chain(numbered.take(1000))
            .find(|candidate| {
                self.taken
                    .get(candidate)
                    .map_or(!self.variables.contains_key(candidate), |value| {
                        value == text
                    })
            });
        let variable = free.unwrap_or_else(|| candidates[0].clone());
        self.taken.insert(variable.clone(), text.to_owned());
        self.uses(&variable, &used_by, true);
        Typed(format!("${{{variable}}}"))
    }

    /// A text in our own syntax: inputs become variables, places are filled in, what is no variable is escaped.
    fn translate(&mut self, text: &str, used_by: &str) -> String {
        let mut translated = String::with_capacity(text.len());
        for piece in pieces(text, false) {
            let piece = match piece {
                Piece::Literal(literal) => literal.to_owned(),
                Piece::Unclosed => format!("$${{{}", text.rsplit("${").next().unwrap_or_default()),
                Piece::Reference(reference) => self.reference(reference, used_by),
            };
            // A `$` before a reference would make an escape of it.
            if piece.starts_with("${") && translated.ends_with('$') {
                translated.pop();
                translated.push_str("${DOLLAR:-$}");
            }
            translated.push_str(&piece);
        }
        translated
    }

    fn reference(&mut self, reference: &str, used_by: &str) -> String {
        if let Some(id) = reference.strip_prefix("input:") {
            let variable = input_variable(id);
            self.uses(&variable, used_by, false);
            return format!("${{{variable}}}");
        }
        if reference == "userHome" {
            return "${HOME}".to_owned();
        }
        if let Some(place) = expand::place(reference, self.workspace, &Variables::default()) {
            return place;
        }
        let reference = reference.strip_prefix("env:").unwrap_or(reference);
        match expand::variable(reference) {
            Some((name, default)) => {
                if default.is_none() {
                    self.uses(name, used_by, false);
                }
                format!("${{{reference}}}")
            }
            None => format!("$${{{reference}}}"),
        }
    }

    fn uses(&mut self, variable: &str, used_by: &str, left_behind: bool) {
        let entry = self
            .variables
            .entry(variable.to_owned())
            .or_insert_with(|| ImportedVariable {
                name: variable.to_owned(),
                used_by: Vec::new(),
                left_behind,
            });
        if !entry.used_by.iter().any(|known| known == used_by) {
            entry.used_by.push(used_by.to_owned());
        }
    }
}

/// Program and arguments as one list, as our own files have it.
fn one_list(entry: &mut ServerEntry) {
    if let Some(TextOr::Text(program)) = &entry.command {
        let mut list = vec![program.clone()];
        list.extend(entry.args.take().unwrap_or_default());
        entry.command = Some(TextOr::Other(list));
    }
}

/// `api-key` and `apiKey` → `API_KEY`.
pub(super) fn variable_name(name: &str) -> String {
    let mut variable = String::with_capacity(name.len() + 4);
    let mut small = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && small {
            variable.push('_');
        }
        small = c.is_ascii_lowercase();
        variable.push(if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        });
    }
    if variable.starts_with(|c: char| c.is_ascii_digit()) {
        variable.insert(0, '_');
    }
    variable
}
