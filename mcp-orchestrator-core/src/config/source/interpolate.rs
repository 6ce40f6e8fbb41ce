//! Expands variables in configured texts: `${VAR}`, `${VAR:-default}`, and the additional forms of foreign files.
//!
//! In our own files, `$${` is a literal `${`, and `${:-text}` is that text, so that a literal `$` can precede a
//! variable. Any other `$` is literal, so that a password needs no escaping. Foreign files have no escape, and a `${…}`
//! that is not a variable is kept, so that they work unchanged. A text that names a variable is a secret by type, even
//! if the default is used.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use crate::value::Text;

/// The values of variables.
#[derive(Clone, Default)]
pub struct Variables {
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// Answers to the `inputs` of VS Code files, by id.
    pub inputs: BTreeMap<String, SecretString>,
}

impl Variables {
    /// Returns the environment of this process, without variables that are not valid UTF-8.
    pub fn from_process() -> Self {
        let env = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self {
            env,
            inputs: BTreeMap::new(),
        }
    }

    /// Returns the value of an environment variable.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str)
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Variables")
            .field("env", &format_args!("{} variables", self.env.len()))
            .field("inputs", &self.inputs.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// A literal `$` before a `{`, for formats without variables. No file can contain this reference.
pub(crate) const LITERAL_DOLLAR: &str = "${\0}";

/// Returns the environment variable that answers a VS Code input: `github-token` → `MCP_INPUT_GITHUB_TOKEN`.
pub fn input_variable(id: &str) -> String {
    let id: String = id
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        })
        .collect();
    format!("MCP_INPUT_{id}")
}

/// An input of a VS Code file, which the editor prompts for.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    /// The default value.
    pub(crate) default: Option<SecretString>,
    /// `true` if the editor hides what is typed.
    pub(crate) password: bool,
}

/// The rules for variables in a file.
#[derive(Clone, Debug)]
pub(crate) enum Dialect {
    /// Our own format.
    Own,
    /// A foreign file.
    Foreign {
        /// The value of `${workspaceFolder}`.
        workspace: PathBuf,
        /// The file's `inputs`, by id.
        inputs: BTreeMap<String, Input>,
    },
}

/// Expands variables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expander<'a> {
    pub(crate) variables: &'a Variables,
    pub(crate) dialect: &'a Dialect,
}

/// A piece of a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'t> {
    Literal(&'t str),
    /// The text between `${` and `}`.
    Reference(&'t str),
    /// A `${` without its `}`.
    Unclosed,
}

/// Splits a text into literals and references. With `escapes`, `$${` is a literal `${`.
pub(crate) fn pieces(text: &str, escapes: bool) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        if escapes && let Some(before) = before.strip_suffix('$') {
            pieces.push(Piece::Literal(before));
            pieces.push(Piece::Literal("${"));
            rest = after;
            continue;
        }
        pieces.push(Piece::Literal(before));
        let Some(end) = after.find('}') else {
            pieces.push(Piece::Unclosed);
            return pieces;
        };
        pieces.push(Piece::Reference(&after[..end]));
        rest = &after[end + 1..];
    }
    pieces.push(Piece::Literal(rest));
    pieces
}

/// Parses `NAME` or `NAME:-default`.
pub(crate) fn variable(reference: &str) -> Option<(&str, Option<&str>)> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    let mut chars = name.chars();
    let first = chars.next()?;
    let fits = (first.is_ascii_alphabetic() || first == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
    (fits && !default.is_some_and(|default| default.contains("${"))).then_some((name, default))
}

/// The value of a reference.
enum Value<'v> {
    Secret(&'v str),
    Plain(String),
    AsItIs,
}

impl Expander<'_> {
    /// Expands the variables in a text. `keep` names a variable that is kept, such as `PORT` of an HTTP program.
    ///
    /// # Errors
    /// One message per invalid reference. No message contains a value.
    pub(crate) fn expand(&self, text: &str, keep: Option<&str>) -> Result<Text, Vec<String>> {
        let own = matches!(self.dialect, Dialect::Own);
        let mut expanded = String::with_capacity(text.len());
        let mut secret = false;
        let mut wrong = Vec::new();
        for piece in pieces(text, own) {
            let reference = match piece {
                Piece::Literal(literal) => {
                    expanded.push_str(literal);
                    continue;
                }
                Piece::Unclosed if own => {
                    wrong.push("unclosed \"${\"; write \"$${\" for a literal one".to_owned());
                    continue;
                }
                Piece::Unclosed => {
                    let at = text.rfind("${").unwrap_or(text.len());
                    expanded.push_str(&text[at..]);
                    continue;
                }
                Piece::Reference(reference) => reference,
            };
            let value = match keep {
                Some(name) if name == reference => Ok(Value::AsItIs),
                _ => self.value(reference),
            };
            match value {
                Ok(Value::Secret(value)) => {
                    expanded.push_str(value);
                    secret = true;
                }
                Ok(Value::Plain(value)) => expanded.push_str(&value),
                Ok(Value::AsItIs) => {
                    expanded.push_str("${");
                    expanded.push_str(reference);
                    expanded.push('}');
                }
                Err(message) => wrong.push(message),
            }
        }
        match (wrong.is_empty(), secret) {
            (false, _) => Err(wrong),
            (true, true) => Ok(Text::secret(expanded)),
            (true, false) => Ok(Text::Plain(expanded)),
        }
    }

    fn value<'v>(&'v self, reference: &'v str) -> Result<Value<'v>, String> {
        if let Dialect::Foreign { workspace, inputs } = self.dialect {
            if format!("${{{reference}}}") == LITERAL_DOLLAR {
                return Ok(Value::Plain("$".to_owned()));
            }
            if let Some(id) = reference.strip_prefix("input:") {
                return self.input(id, inputs).map(Value::Secret);
            }
            if let Some(name) = reference.strip_prefix("env:") {
                let value = self.variables.get(name);
                return value.map(Value::Secret).ok_or_else(|| not_set(name));
            }
            if let Some(value) = path_variable(reference, workspace, self.variables) {
                return Ok(Value::Plain(value));
            }
        }
        if let (Some(text), Dialect::Own) = (reference.strip_prefix(":-"), self.dialect) {
            return Ok(Value::Plain(text.to_owned()));
        }
        match variable(reference) {
            Some((name, default)) => {
                let value = self.variables.get(name);
                let value = value.filter(|value| default.is_none() || !value.is_empty());
                let value = value.or(default);
                value.map(Value::Secret).ok_or_else(|| not_set(name))
            }
            None if matches!(self.dialect, Dialect::Own) => {
                let shown: String = reference.chars().take(40).collect();
                Err(format!(
                    "\"${{{shown}}}\" is not a valid variable; write ${{NAME}} or ${{NAME:-default}}, or $${{ for a literal \"${{\""
                ))
            }
            None => Ok(Value::AsItIs),
        }
    }

    fn input<'v>(
        &'v self,
        id: &str,
        inputs: &'v BTreeMap<String, Input>,
    ) -> Result<&'v str, String> {
        if let Some(value) = self.variables.inputs.get(id) {
            return Ok(value.expose_secret());
        }
        let variable = input_variable(id);
        if let Some(value) = self.variables.get(&variable) {
            return Ok(value);
        }
        let default = inputs.get(id).and_then(|input| input.default.as_ref());
        if let Some(default) = default {
            return Ok(default.expose_secret());
        }
        Err(format!(
            "the input {id:?} has no value; set it with --input or the variable {variable}"
        ))
    }
}

fn not_set(name: &str) -> String {
    format!(
        "the variable {name} is not set; set it, or give it a default with ${{{name}:-default}}"
    )
}

/// Returns the value of a path variable that editors define.
pub(crate) fn path_variable(
    reference: &str,
    workspace: &Path,
    variables: &Variables,
) -> Option<String> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    match reference {
        "workspaceFolder" | "workspaceRoot" | "cwd" | "CLAUDE_PLUGIN_ROOT"
        | "CLAUDE_PROJECT_DIR" | "extensionPath" | "workspacePath" => Some(text(workspace)),
        named if named.starts_with("workspaceFolder:") => Some(text(workspace)),
        "workspaceFolderBasename" => workspace.file_name().map(|name| text(Path::new(name))),
        "userHome" => variables.get("HOME").map(str::to_owned),
        "pathSeparator" | "/" => Some(std::path::MAIN_SEPARATOR.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        let env = [
            ("A", "one"),
            ("EMPTY", ""),
            ("HOME", "/home/u"),
            ("MCP_INPUT_TOKEN_2", "from-env"),
        ];
        Variables {
            env: env
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            inputs: [("token".to_owned(), SecretString::from("given"))].into(),
        }
    }

    fn foreign() -> Dialect {
        let input = |default: Option<&str>| Input {
            default: default.map(SecretString::from),
            password: false,
        };
        let inputs = [("d", Some("defaulted")), ("n", None)];
        Dialect::Foreign {
            workspace: "/home/u/project".into(),
            inputs: inputs
                .map(|(id, default)| (id.to_owned(), input(default)))
                .into(),
        }
    }

    #[test]
    fn own_variable_syntax_is_expanded() {
        let variables = variables();
        let expander = Expander {
            variables: &variables,
            dialect: &Dialect::Own,
        };
        for (text, expanded, secret) in [
            ("plain", "plain", false),
            ("pa$$word $1 $", "pa$$word $1 $", false),
            ("x${A}y", "xoney", true),
            ("${B:-two}", "two", true),
            ("${EMPTY:-two}", "two", true),
            ("${EMPTY}", "", true),
            ("${B:-}", "", true),
            ("$${A}", "${A}", false),
            ("$$${A}", "$${A}", false),
            ("${:-$$}${A}", "$$one", true),
            ("${:-}", "", false),
            ("--port=${PORT}", "--port=${PORT}", false),
        ] {
            let read = expander.expand(text, Some("PORT")).unwrap();
            assert_eq!(
                (read.expose(), read.is_secret()),
                (expanded, secret),
                "{text}"
            );
        }
        for (text, says) in [
            ("${B}", "variable B is not set"),
            ("${A", "unclosed"),
            ("${}", "is not a valid variable"),
            ("${A:?no}", "is not a valid variable"),
            ("${env:A}", "is not a valid variable"),
            ("${A:-${B}}", "is not a valid variable"),
            ("${PORT}", "variable PORT is not set"),
        ] {
            let wrong = expander.expand(text, None).unwrap_err();
            assert!(wrong[0].contains(says), "{text}: {wrong:?}");
        }
    }

    #[test]
    fn foreign_variable_syntax_is_expanded() {
        let (variables, dialect) = (variables(), foreign());
        let expander = Expander {
            variables: &variables,
            dialect: &dialect,
        };
        for (text, expanded, secret) in [
            ("${input:token}", "given", true),
            ("${input:token-2}", "from-env", true),
            ("${input:d}", "defaulted", true),
            ("${env:A}", "one", true),
            ("${A}", "one", true),
            ("$${A}", "$one", true),
            ("${workspaceFolder}/x", "/home/u/project/x", false),
            ("${userHome}${/}y", "/home/u/y", false),
            ("${item.name} ${", "${item.name} ${", false),
        ] {
            let read = expander.expand(text, None).unwrap();
            assert_eq!(
                (read.expose(), read.is_secret()),
                (expanded, secret),
                "{text}"
            );
        }
        for text in ["${input:n}", "${input:unknown}", "${env:B}", "${B}"] {
            assert!(expander.expand(text, None).is_err(), "{text}");
        }
    }
}
