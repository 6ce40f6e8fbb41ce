//! Adds one server to a YAML file in block style, line by line. Everything else in the file is kept.

use std::ops::Range;

use super::{Endpoint, TOKEN};

/// Indentation of a server in a new file.
const INDENT: usize = 2;
/// Words that YAML reads as other values than strings.
const RESERVED: &[&str] = &["true", "false", "null", "yes", "no", "on", "off", "y", "n"];

/// Returns the contents of a file that contains only this server, as Goose writes it.
pub(super) fn document(key: &str, name: &str, to: &Endpoint) -> String {
    format!("{key}:\n{}", entry(name, to, INDENT))
}

/// Formats the entry of a server.
fn entry(name: &str, to: &Endpoint, indent: usize) -> String {
    let mut lines = vec![
        format!("{}:", scalar(name)),
        "  enabled: true".to_owned(),
        "  type: streamable_http".to_owned(),
        format!("  name: {}", scalar(name)),
        format!("  uri: {}", quoted(&to.url)),
    ];
    if to.with_token {
        // Goose expands only the variables that `env_keys` lists.
        lines.push("  headers:".to_owned());
        lines.push(format!("    Authorization: \"Bearer ${{{TOKEN}}}\""));
        lines.push("  env_keys:".to_owned());
        lines.push(format!("    - {TOKEN}"));
    }
    lines.push("  timeout: 300".to_owned());
    let blanks = " ".repeat(indent);
    lines
        .iter()
        .map(|line| format!("{blanks}{line}\n"))
        .collect()
}

fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(plain);
    let is_reserved = RESERVED.contains(&text.to_ascii_lowercase().as_str());
    match is_word && !is_reserved {
        true => text.to_owned(),
        false => quoted(text),
    }
}

/// Formats a text as a double-quoted scalar. JSON escapes are valid there.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Returns the text with the server.
///
/// # Errors
/// Fails if the servers are not a mapping in block style.
pub(super) fn put(text: &str, key: &str, name: &str, to: &Endpoint) -> Result<String, String> {
    let Some(servers) = Servers::find(text, key)? else {
        let gap = if text.is_empty() || text.ends_with('\n') {
            ""
        } else {
            "\n"
        };
        return Ok(format!("{text}{gap}{}", document(key, name, to)));
    };
    let entry = entry(name, to, servers.indent);
    Ok(match servers.server(text, name) {
        Some(range) => splice(text, range, &entry),
        None => {
            let head = format!("{key}:\n{entry}");
            match servers.is_empty {
                true => splice(text, servers.head, &head),
                false => splice(text, servers.head.end..servers.head.end, &entry),
            }
        }
    })
}

/// Returns the text without the server, or `None` if it does not contain it.
///
/// # Errors
/// Fails if the servers are not a mapping in block style.
pub(super) fn remove(text: &str, key: &str, name: &str) -> Result<Option<String>, String> {
    let Some(servers) = Servers::find(text, key)? else {
        return Ok(None);
    };
    let Some(range) = servers.server(text, name) else {
        return Ok(None);
    };
    let without = splice(text, range, "");
    let left = Servers::find(&without, key)?;
    Ok(Some(match left.filter(|left| left.is_empty) {
        Some(left) => splice(&without, left.head, &format!("{key}: {{}}\n")),
        None => without,
    }))
}

/// The place of the servers in a file.
struct Servers {
    /// The line of the key.
    head: Range<usize>,
    /// Indentation of the servers.
    indent: usize,
    /// Set if there are no servers.
    is_empty: bool,
}

impl Servers {
    /// Finds the key in a file whose top level is a mapping in block style.
    fn find(text: &str, key: &str) -> Result<Option<Self>, String> {
        let unsafe_form = || format!("{key} is written in a form that cannot be edited safely");
        let mut found = None;
        let mut at = 0;
        for (number, line) in text.split_inclusive('\n').enumerate() {
            let range = at..at + line.len();
            at = range.end;
            let line = line.trim_start_matches('\u{feff}').trim_end();
            let is_document_start = line == "---" && text[..range.start].trim().is_empty();
            if line.is_empty() || line.starts_with([' ', '#']) || is_document_start {
                continue;
            }
            let Some((name, value)) = line.split_once(':') else {
                return Err(format!("line {} is no key of a mapping", number + 1));
            };
            if line.starts_with(['{', '[', '-', '?', '&', '!', '\t']) {
                return Err(format!("line {} is no key of a mapping", number + 1));
            }
            if name.trim_matches(['"', '\'', ' ']) == key {
                let value = value.split(" #").next().unwrap_or_default().trim();
                let is_empty = matches!(value, "" | "{}" | "null" | "~");
                if found.is_some() || !is_empty || line.starts_with(['"', '\'']) {
                    return Err(unsafe_form());
                }
                found = Some((range, value.is_empty()));
            }
        }
        let Some((head, may_have_servers)) = found else {
            return Ok(None);
        };
        let below = text[head.end..].lines();
        let first = below
            .filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
            .map(indent_of)
            .next();
        let indent = first.filter(|indent| *indent > 0 && may_have_servers);
        if text[head.end..].lines().any(|line| line.starts_with('\t')) {
            return Err(unsafe_form());
        }
        Ok(Some(Self {
            head,
            indent: indent.unwrap_or(INDENT),
            is_empty: indent.is_none(),
        }))
    }

    /// Returns the lines of a server.
    fn server(&self, text: &str, name: &str) -> Option<Range<usize>> {
        let names = [scalar(name), quoted(name), format!("'{name}'")];
        let mut at = self.head.end;
        let mut start = None;
        let mut end = at;
        for line in text[self.head.end..].split_inclusive('\n') {
            let begin = at;
            at += line.len();
            let is_blank = line.trim().is_empty() || line.trim_start().starts_with('#');
            let indent = indent_of(line);
            if !is_blank && indent <= self.indent {
                if start.is_some() || indent < self.indent {
                    break;
                }
                let head = line.trim();
                let named = |name: &String| {
                    head.strip_prefix(name.as_str())
                        .is_some_and(|rest| rest.trim_start().starts_with(':'))
                };
                start = names.iter().any(named).then_some(begin);
            }
            if !is_blank {
                end = at;
            }
        }
        start.map(|start| start..end)
    }
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

fn splice(text: &str, range: Range<usize>, addition: &str) -> String {
    let before = &text[..range.start];
    let gap = if before.is_empty() || before.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!("{before}{gap}{addition}{}", &text[range.end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(with_token: bool) -> Endpoint {
        Endpoint {
            url: "http://x/mcp".to_owned(),
            with_token,
        }
    }

    #[test]
    fn server_is_added_replaced_and_removed() {
        let alone = document("extensions", "gw", &to(false));
        let own = alone.strip_prefix("extensions:\n").unwrap();
        for (before, after) in [
            ("", alone.clone()),
            ("GOOSE_MODEL: x", format!("GOOSE_MODEL: x\n{alone}")),
            (
                "a: 1\nextensions: {} # none\nb: 2\n",
                format!("a: 1\n{alone}b: 2\n"),
            ),
            ("extensions:\nb: 2\n", format!("{alone}b: 2\n")),
            (
                "---\nextensions:\n  # mine\n  gw2:\n    cmd: |\n      gw:\n        x\nb: 2\n",
                format!(
                    "---\nextensions:\n{own}  # mine\n  gw2:\n    cmd: |\n      gw:\n        x\nb: 2\n"
                ),
            ),
            (
                "extensions:\n  gw:\n    old: 1\n\n  z:\n    type: builtin\n",
                format!("extensions:\n{own}\n  z:\n    type: builtin\n"),
            ),
        ] {
            let now = put(before, "extensions", "gw", &to(false)).unwrap();
            assert_eq!(now, after, "{before:?}");
            assert_eq!(put(&now, "extensions", "gw", &to(false)).unwrap(), now);
            let without = remove(&now, "extensions", "gw").unwrap().unwrap();
            assert!(!without.contains("x/mcp"), "{without}");
            assert_eq!(remove(&without, "extensions", "gw").unwrap(), None);
        }
        assert_eq!(
            remove(&alone, "extensions", "gw").unwrap().unwrap(),
            "extensions: {}\n"
        );
        let deep = "extensions:\n    a:\n        type: builtin\n";
        let now = put(deep, "extensions", "gw", &to(true)).unwrap();
        assert!(now.contains("\n    gw:\n      enabled: true\n"), "{now}");
        assert!(now.contains("Authorization: \"Bearer ${MCP_ORCHESTRATOR_TOKEN}\""));
    }

    #[test]
    fn unusual_forms_are_rejected() {
        for text in [
            "{extensions: {}}",
            "- a",
            "extensions: {a: {type: builtin}}",
            "extensions: &x\n  a: 1\n",
            "\"extensions\":\n  a: 1\n",
            "extensions:\nextensions:\n",
            "extensions:\n\ta: 1\n",
            "word",
        ] {
            assert!(put(text, "extensions", "gw", &to(false)).is_err(), "{text}");
        }
    }
}
