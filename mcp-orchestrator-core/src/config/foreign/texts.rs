//! The texts of an entry, and the conversion of foreign variable syntaxes to the one read here.

use std::time::Duration;

use super::draft::Syntax;
use crate::config::schema::file::{TextOr, Typed};
use crate::config::schema::oauth::OAuthChoice;
use crate::config::schema::server::ServerEntry;
use crate::config::schema::units::Span;
use crate::config::source::interpolate::LITERAL_DOLLAR;

/// The position of a text in an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Place<'n> {
    /// A key with one text, or an element of it.
    Key(&'static str),
    /// A variable of `env`.
    Env(&'n str),
    /// A header.
    Header(&'n str),
    /// The client secret of an OAuth client.
    ClientSecret,
}

/// Calls `change` for each text of the entry in which variables are expanded.
pub(in crate::config) fn each(
    entry: &mut ServerEntry,
    change: &mut dyn FnMut(Place<'_>, &mut Typed),
) {
    match &mut entry.command {
        Some(TextOr::Text(program)) => change(Place::Key("command"), program),
        Some(TextOr::Other(list)) => {
            for (index, text) in list.iter_mut().enumerate() {
                let key = if index == 0 { "command" } else { "args" };
                change(Place::Key(key), text);
            }
        }
        None => {}
    }
    for text in entry.args.iter_mut().flatten() {
        change(Place::Key("args"), text);
    }
    for (key, text) in [
        ("image", &mut entry.image),
        ("url", &mut entry.url),
        ("path", &mut entry.path),
        ("cwd", &mut entry.cwd),
        ("env_file", &mut entry.env_file),
    ] {
        if let Some(text) = text {
            change(Place::Key(key), text);
        }
    }
    for slot in entry.credentials.iter_mut().flatten() {
        if let Some(file) = &mut slot.from_file {
            change(Place::Key("credentials"), file);
        }
    }
    if let Some(OAuthChoice::Entry(oauth)) = &mut entry.oauth {
        let texts = [
            &mut oauth.client_id,
            &mut oauth.issuer,
            &mut oauth.metadata_url,
            &mut oauth.authorization_endpoint,
            &mut oauth.token_endpoint,
            &mut oauth.registration_endpoint,
        ];
        let scopes = oauth.scopes.iter_mut().flatten();
        for text in texts.into_iter().flatten().chain(scopes) {
            change(Place::Key("oauth"), text);
        }
        if let Some(secret) = &mut oauth.client_secret {
            change(Place::ClientSecret, secret);
        }
    }
    for (name, value) in entry.env.iter_mut().flatten() {
        change(Place::Env(name), value);
    }
    for (name, value) in entry.headers.iter_mut().flatten() {
        change(Place::Header(name), value);
    }
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

/// Replaces a leading `~` by the home directory.
pub(super) fn home(text: &mut Typed) {
    if text.0 == "~" || text.0.starts_with("~/") {
        text.0.replace_range(..1, "${userHome}");
    }
}

/// Converts seconds to a duration, or returns `None` if it is shorter than a millisecond or longer than a week.
pub(super) fn span(seconds: f64) -> Option<Span> {
    let most = f64::from(7 * 24 * 3600);
    let fits = seconds >= 0.001 && seconds <= most;
    let span = fits.then(|| Duration::from_secs_f64(seconds))?;
    let whole = u64::try_from(span.as_millis()).ok()?;
    Some(Span(Duration::from_millis(whole)))
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
