//! Environment files such as `.env`: one NAME=VALUE per line.
//!
//! Blank lines and lines that begin with `#` are ignored, `export` may precede a name, quotes around a value are
//! removed, and text after a ` #` outside quotes is a comment. In double quotes, `\n` is a line break. Variables in
//! values are not expanded: a `$` in a password stays unchanged. Editors with an `envFile` key read such files the same
//! way.

use std::collections::BTreeMap;

use crate::config::resolve::check;
use crate::config::resolve::scope::Scope;
use crate::config::schema::value::Typed;
use crate::config::source::read;
use crate::value::Text;

/// Reads the variables of the file that `key` names; all are secrets by type.
pub(crate) fn read(scope: &mut Scope<'_>, key: &str, typed: &Typed) -> BTreeMap<String, Text> {
    let none = BTreeMap::new();
    let Some(named) = scope.plain(key, Some(typed)) else {
        return none;
    };
    let file = scope.source.resolve(&named);
    let text = match read::read(&file) {
        Ok(text) => text,
        Err(message) => {
            scope.problem(key, format!("{}: {message}", file.display()));
            return none;
        }
    };
    let mut found = none;
    for (number, line) in (1..).zip(text.lines()) {
        match variable(line) {
            Ok(Some((name, value))) => {
                found.insert(name.to_owned(), Text::secret(value));
            }
            Ok(None) => {}
            // The message omits the line, because it may be a secret.
            Err(message) => scope.problem(key, format!("{}:{number}: {message}", file.display())),
        }
    }
    found
}

/// Parses a line; returns `None` if it sets nothing.
fn variable(line: &str) -> Result<Option<(&str, String)>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let set = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = set.split_once('=').ok_or("expected NAME=VALUE")?;
    let name = name.trim();
    check::env_name(name)?;
    let value = value.trim();
    let quoted = |quote| value.strip_prefix(quote)?.split_once(quote);
    let (value, rest) = match (quoted('"'), quoted('\'')) {
        (Some((value, rest)), _) => (value.replace("\\n", "\n"), rest.trim_start()),
        (None, Some((value, rest))) => (value.to_owned(), rest.trim_start()),
        (None, None) if value.starts_with(['"', '\'']) => {
            return Err("unclosed quote".to_owned());
        }
        (None, None) => {
            let comment = value.find(" #").unwrap_or(value.len());
            (value[..comment].trim_end().to_owned(), "")
        }
    };
    if !rest.is_empty() && !rest.starts_with('#') {
        return Err("unexpected text after the quoted value".to_owned());
    }
    if value.contains('\0') {
        return Err("must not contain a NUL character".to_owned());
    }
    Ok(Some((name, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_parsed_like_editors_parse_them() {
        for (line, found) in [
            ("", None),
            ("  # TOKEN=x", None),
            ("TOKEN=abc", Some(("TOKEN", "abc"))),
            ("export TOKEN = a=b ", Some(("TOKEN", "a=b"))),
            ("TOKEN=p$ss${w}ord#1", Some(("TOKEN", "p$ss${w}ord#1"))),
            ("TOKEN=abc # the old one", Some(("TOKEN", "abc"))),
            ("TOKEN=\"a # b\\nc\" # x", Some(("TOKEN", "a # b\nc"))),
            ("TOKEN='a\\n\"b'", Some(("TOKEN", "a\\n\"b"))),
            ("TOKEN=", Some(("TOKEN", ""))),
        ] {
            let read = variable(line).unwrap();
            let read = read.as_ref().map(|(name, value)| (*name, &**value));
            assert_eq!(read, found, "{line}");
        }
        for line in ["TOKEN", "=x", "A B=x", "T='x", "T=\"x\" y"] {
            assert!(variable(line).is_err(), "{line}");
        }
    }
}
