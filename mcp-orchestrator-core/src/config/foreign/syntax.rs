//! How a foreign file writes variables, and the conversion to the syntax of editors, which is read here.

use crate::config::source::interpolate::LITERAL_DOLLAR;

/// How a file writes variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Syntax {
    /// `${VAR}`, `${env:VAR}`, `${input:id}` and similar, as in [`Dialect::Foreign`](crate::config::source::interpolate::Dialect).
    Editor,
    /// No variables: every text is literal.
    Plain,
    /// `{env:VAR}` and `{file:path}`.
    Braces,
    /// `$VAR` and `${VAR}`, as in a shell.
    Shell,
    /// `${{ secrets.NAME }}`.
    Mustache,
}

impl Syntax {
    /// Converts a text to the syntax of editors.
    pub(in crate::config) fn editor(self, text: &str) -> String {
        match self {
            Self::Editor => text.to_owned(),
            Self::Plain => literal(text),
            Self::Braces => braces(text),
            Self::Shell => shell(text),
            Self::Mustache => mustache(text),
        }
    }
}

/// Escapes everything that would be read as a variable.
fn literal(text: &str) -> String {
    text.replace("${", &format!("{LITERAL_DOLLAR}{{"))
}

/// `{env:NAME}` → `${env:NAME}`.
fn braces(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("{env:") {
        let after = &rest[at + 5..];
        let Some(end) = after.find('}') else { break };
        out.push_str(&literal(&rest[..at]));
        out.push_str(&format!("${{env:{}}}", after[..end].trim()));
        rest = &after[end + 1..];
    }
    out.push_str(&literal(rest));
    out
}

/// `$NAME` → `${NAME}`.
fn shell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let name_char = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let length = after.find(|c| !name_char(c)).unwrap_or(after.len());
        let starts = after.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if length > 0 && starts {
            out.push_str(&format!("${{{}}}", &after[..length]));
            rest = &after[length..];
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

/// `${{ secrets.NAME }}` → `${NAME}`.
fn mustache(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${{") {
        let after = &rest[at + 3..];
        let Some(end) = after.find("}}") else { break };
        let name = after[..end].trim();
        let name = name.rsplit('.').next().unwrap_or(name);
        out.push_str(&literal(&rest[..at]));
        out.push_str(&format!("${{{name}}}"));
        rest = &after[end + 2..];
    }
    out.push_str(&literal(rest));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_syntax_is_converted_to_editor_syntax() {
        let dollar = LITERAL_DOLLAR;
        for (syntax, text, editor) in [
            (Syntax::Editor, "${env:A} $B", "${env:A} $B".to_owned()),
            (Syntax::Plain, "${A} $B", format!("{dollar}{{A}} $B")),
            (
                Syntax::Braces,
                "Bearer {env: A }/{env:B}${C}",
                format!("Bearer ${{env:A}}/${{env:B}}{dollar}{{C}}"),
            ),
            (Syntax::Braces, "x{env:A", "x{env:A".to_owned()),
            (Syntax::Shell, "a$B-${C}$1$", "a${B}-${C}$1$".to_owned()),
            (
                Syntax::Mustache,
                "x${{ secrets.A }}${B}",
                format!("x${{A}}{dollar}{{B}}"),
            ),
        ] {
            assert_eq!(syntax.editor(text), editor, "{text}");
        }
    }
}
