//! Preview of imported servers, shown before the user confirms.

use mcp_orchestrator_core::config::{
    CredentialEntry, HeaderEntry, ImportValues, Imported, ServerEntry, TextOr, Typed,
};
use mcp_orchestrator_core::id::ServerId;
use mcp_orchestrator_core::mask::{MASK, masked_args, masked_url, may_be_secret};

use crate::output;

/// Prints each server to standard error: its command or URL, its variables and credentials, and its risks.
pub(crate) fn show(imported: &Imported, values: ImportValues) {
    for (id, entry) in &imported.servers {
        for line in lines(id, entry, values) {
            output::note(&output::clean(&line));
        }
        for risk in imported.risks.iter().filter(|risk| risk.server == *id) {
            output::note(&output::clean(&format!("  warning: {}", risk.text)));
        }
    }
    let theirs = imported.variables.iter().filter(|variable| variable.theirs);
    for variable in theirs {
        let used_by = variable.used_by.join(", ");
        let text = format!(
            "warning: {used_by} will hold the variable {} of the gateway's environment",
            variable.name
        );
        output::note(&output::clean(&text));
    }
}

fn lines(id: &ServerId, entry: &ServerEntry, values: ImportValues) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = |what: &str, text: String| lines.push(format!("  {what:<9} {text}"));
    if let Some(url) = &entry.url {
        line("url", masked_url(&url.0));
    }
    if let Some(image) = &entry.image {
        line("image", image.0.clone());
    }
    let command = match &entry.command {
        Some(TextOr::Text(program)) => vec![program],
        Some(TextOr::Other(list)) => list.iter().collect(),
        None => Vec::new(),
    };
    let words = command.into_iter().chain(entry.args.iter().flatten());
    let words = masked_args(words.map(|word| word.0.clone()));
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    if !words.is_empty() {
        line("runs", words.join(" "));
    }
    if let Some(cwd) = &entry.cwd {
        line("in", cwd.0.clone());
    }
    for (name, value) in entry.headers.iter().flatten() {
        line("header", format!("{name}: {}", shown(name, value, values)));
    }
    for (name, value) in entry.env.iter().flatten() {
        line("env", format!("{name}={}", shown(name, value, values)));
    }
    if let Some(file) = &entry.env_file {
        line("env file", file.0.clone());
    }
    for slot in entry.credentials.iter().flatten() {
        line("needs", need(slot));
    }
    lines.insert(0, format!("{id}:"));
    lines
}

/// Hides copied values, which may be secret, and what looks like a secret in any other value.
fn shown(name: &str, value: &Typed, values: ImportValues) -> String {
    let literal = without_references(&value.0);
    if literal.is_empty() {
        value.0.clone()
    } else if values == ImportValues::Keep && !value.0.starts_with("${") {
        "(copied)".to_owned()
    } else if may_be_secret(name, &literal) {
        MASK.to_owned()
    } else {
        masked_url(&value.0)
    }
}

/// Returns a value without its variables and without the scheme of a header.
fn without_references(value: &str) -> String {
    let mut parts = value.split("${");
    let mut literal = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        literal.push_str(part.split_once('}').map_or(part, |(_, after)| after));
    }
    let literal = literal.trim();
    let schemes = ["bearer", "token", "basic"];
    if schemes
        .iter()
        .any(|scheme| literal.eq_ignore_ascii_case(scheme))
    {
        return String::new();
    }
    literal.to_owned()
}

fn need(slot: &CredentialEntry) -> String {
    let name = slot.name.as_deref().unwrap_or("a value");
    let place = match (&slot.env, &slot.header) {
        (Some(env), _) => format!("as {env}"),
        (None, Some(TextOr::Text(header))) => format!("as the header {}", header.0),
        (None, Some(TextOr::Other(HeaderEntry { name, .. }))) => format!("as the header {name}"),
        (None, None) => String::new(),
    };
    let optional = if slot.required == Some(false) {
        ", optional"
    } else {
        ""
    };
    format!("{name} {place}{optional}")
}

/// Quotes a word for a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:@,%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}
