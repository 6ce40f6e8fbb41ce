//! Reads slot values from the user: a prompt without echo, a variable, a file or standard input. Never from the
//! arguments, which other users of the machine can read.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use mcp_orchestrator_gateway::control::wire::credentials::{CatalogText, SecretText, SlotText};
use secrecy::SecretString;

use crate::exit::Failure;
use crate::output::clean;

/// Maximum size in bytes of a file or a line of standard input with a value.
const MAX_VALUE_LEN: u64 = 1 << 20;

/// Reads the values given by `--value SLOT=SOURCE`, and prompts for the others on a terminal.
pub(crate) fn read(
    server: &CatalogText,
    sources: &[String],
    rotate: bool,
) -> Result<BTreeMap<String, SecretText>, Failure> {
    let mut values = BTreeMap::new();
    let mut stdin_taken = false;
    for source in sources {
        let (slot, source) = source.split_once('=').ok_or_else(form)?;
        if !server.slots.iter().any(|known| known.name == slot) {
            let known: Vec<&str> = server.slots.iter().map(|slot| &slot.name[..]).collect();
            let hint = crate::suggest::hint(slot, known.iter().copied());
            let text = format!("server {} has no slot {slot:?}{hint}", server.server);
            return Err(Failure::usage(text));
        }
        let value = from(source, &mut stdin_taken)?;
        values.insert(slot.to_owned(), SecretText(value));
    }
    if !io::stdin().is_terminal() || stdin_taken {
        return Ok(values);
    }
    // A rotation keeps the values that are not given, so there is nothing to prompt for.
    if rotate && !values.is_empty() {
        return Ok(values);
    }
    for slot in &server.slots {
        // The token of an OAuth server comes from signing in. It can be given with `--value`, but is not prompted for.
        let asked = server.oauth.as_ref() != Some(&slot.name);
        if asked && !values.contains_key(&slot.name) {
            values.insert(slot.name.clone(), SecretText(ask(slot, rotate)?));
        }
    }
    Ok(values)
}

fn form() -> Failure {
    // Do not repeat the source, which may be the secret itself.
    Failure::usage(
        "a value is never an argument: give SLOT=env:VARIABLE, SLOT=file:PATH, or SLOT=- for standard input (once)",
    )
}

fn from(source: &str, stdin_taken: &mut bool) -> Result<SecretString, Failure> {
    if let Some(variable) = source.strip_prefix("env:") {
        let value = std::env::var(variable).map_err(|_| {
            Failure::usage(format!("the variable {variable} is not set, or not UTF-8"))
        })?;
        return Ok(value.into());
    }
    if let Some(path) = source.strip_prefix("file:") {
        let cannot = |error: io::Error| Failure::usage(format!("{path}: {error}"));
        let file = std::fs::File::open(path).map_err(cannot)?;
        let mut text = String::new();
        file.take(MAX_VALUE_LEN + 1)
            .read_to_string(&mut text)
            .map_err(cannot)?;
        return bounded(text, path);
    }
    if source != "-" || *stdin_taken {
        return Err(form());
    }
    *stdin_taken = true;
    let mut text = String::new();
    let read = io::stdin()
        .lock()
        .take(MAX_VALUE_LEN + 1)
        .read_line(&mut text);
    read.map_err(|error| Failure::failed(format!("standard input: {error}")))?;
    bounded(text, "standard input")
}

/// Returns the value if all of it was read.
fn bounded(text: String, source: &str) -> Result<SecretString, Failure> {
    if text.len() as u64 > MAX_VALUE_LEN {
        return Err(Failure::usage(format!(
            "the value from {source} is larger than {MAX_VALUE_LEN} bytes"
        )));
    }
    Ok(line(text))
}

/// Removes the line ending.
fn line(mut text: String) -> SecretString {
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    text.into()
}

fn ask(slot: &SlotText, rotate: bool) -> Result<SecretString, Failure> {
    let cannot = |error: io::Error| Failure::failed(format!("the terminal: {error}"));
    let mut notes = Vec::new();
    if let Some(description) = &slot.description {
        notes.push(clean(description));
    }
    if !slot.choices.is_empty() {
        notes.push(format!("one of {}", slot.choices.join(", ")));
    }
    match &slot.default {
        _ if rotate => notes.push("empty: as before".to_owned()),
        Some(default) => notes.push(format!("empty: {default}")),
        None if !slot.required => notes.push("may be empty".to_owned()),
        None => {}
    }
    let notes = if notes.is_empty() {
        String::new()
    } else {
        format!(" ({})", notes.join("; "))
    };
    let prompt = format!("{}{notes}: ", clean(&slot.name));
    if !slot.plain {
        return Ok(rpassword::prompt_password(prompt).map_err(cannot)?.into());
    }
    let mut out = io::stderr().lock();
    write!(out, "{prompt}")
        .and_then(|()| out.flush())
        .map_err(cannot)?;
    let mut text = String::new();
    io::stdin().lock().read_line(&mut text).map_err(cannot)?;
    Ok(line(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endless_file_is_refused() {
        // Its size reads as 0.
        let failed = from("file:/dev/zero", &mut false).expect_err("it has no end");
        assert!(
            failed.message.contains("/dev/zero is larger than 1048576"),
            "{}",
            failed.message
        );
        assert!(from("file:/dev/null", &mut false).is_ok());
    }
}
