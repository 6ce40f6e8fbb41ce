//! Values of slots as a person gives them: asked for without echo, or from a variable, a file or standard input. Never
//! from the arguments, which everybody on the machine can read.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use mcp_orchestrator_gateway::control::wire_people::{CatalogText, SecretText, SlotText};
use secrecy::SecretString;

use crate::exit::Failure;
use crate::output::clean;

/// How large a file or standard input may be.
const LARGEST: u64 = 1 << 20;

/// The values that `--value SLOT=SOURCE` names, and those that are asked for.
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
            let known = known.join(", ");
            let text = format!("{} has no slot {slot:?}; it has {known}", server.server);
            return Err(Failure::usage(text));
        }
        let value = from(source, &mut stdin_taken)?;
        values.insert(slot.to_owned(), SecretText(value));
    }
    if !io::stdin().is_terminal() || stdin_taken {
        return Ok(values);
    }
    // What was named is not asked for; where something is named of a rotation, the rest stays.
    if rotate && !values.is_empty() {
        return Ok(values);
    }
    for slot in &server.slots {
        // What comes from signing in is not asked for; whoever has a token may name it.
        let asked = server.oauth.as_ref() != Some(&slot.name);
        if asked && !values.contains_key(&slot.name) {
            values.insert(slot.name.clone(), SecretText(ask(slot, rotate)?));
        }
    }
    Ok(values)
}

fn form() -> Failure {
    // The source is not repeated: it may be the secret.
    Failure::usage("a value is SLOT=env:VARIABLE, SLOT=file:PATH or (one of them) SLOT=-")
}

fn from(source: &str, stdin_taken: &mut bool) -> Result<SecretString, Failure> {
    if let Some(variable) = source.strip_prefix("env:") {
        let value = std::env::var(variable).map_err(|_| {
            Failure::usage(format!("the variable {variable} is not set, or no text"))
        })?;
        return Ok(value.into());
    }
    if let Some(path) = source.strip_prefix("file:") {
        let cannot = |error: io::Error| Failure::usage(format!("{path}: {error}"));
        if std::fs::metadata(path).map_err(cannot)?.len() > LARGEST {
            return Err(Failure::usage(format!(
                "{path} is larger than {LARGEST} bytes"
            )));
        }
        let text = std::fs::read_to_string(path).map_err(cannot)?;
        return Ok(line(text));
    }
    if source != "-" || *stdin_taken {
        return Err(form());
    }
    *stdin_taken = true;
    let mut text = String::new();
    let read = io::stdin().lock().read_line(&mut text);
    read.map_err(|error| Failure::failed(format!("standard input: {error}")))?;
    Ok(line(text))
}

/// Without the end of its line.
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
