//! Checks that the load accepts an imported entry, so that an import never writes an entry that only the next start of
//! the gateway rejects.

use std::path::Path;

use super::builder::EntryBuilder;
use crate::config::edit::{IfPresent, add_to_text};
use crate::config::foreign::for_each_text;
use crate::config::load::load_texts;
use crate::config::options::{BackendOptions, LoadOptions};
use crate::config::schema::server::ServerEntry;
use crate::config::schema::value::Typed;
use crate::config::settings::backends::BackendKind;
use crate::config::source::diagnostics::Problem;
use crate::config::source::interpolate::{Piece, Variables, pieces, variable};
use crate::id::ServerId;

/// The assumed value of a variable: valid as a host, a port, an argument and a header.
const VALUE: &str = "1";
/// The assumed value of a text that begins with a variable where a URL is expected.
const URL: &str = "https://1/";

impl EntryBuilder {
    /// Checks the finished entry.
    ///
    /// # Errors
    /// Why the load would reject it.
    pub(super) fn verify(&self) -> Result<(), String> {
        let problems = problems(&self.id, &self.entry);
        if problems.is_empty() {
            Ok(())
        } else {
            Err(problems.join("; "))
        }
    }
}

/// Returns why the load would reject an entry; empty if it accepts it. Variables are assumed to be set, and folders and
/// files to exist, because the gateway may run on another machine.
pub(super) fn problems(id: &ServerId, entry: &ServerEntry) -> Vec<String> {
    let mut entry = entry.clone();
    entry.env_file = None;
    entry.cwd = entry.cwd.map(|_| Typed::from("/"));
    let mut variables = Variables::default();
    for_each_text(&mut entry, &mut |_, text| {
        for piece in pieces(&text.0, true) {
            if let Piece::Reference(reference) = piece
                && let Some((name, _)) = variable(reference)
            {
                let env = &mut variables.env;
                env.insert(name.to_owned(), VALUE.to_owned());
            }
        }
    });
    if let Some(url) = &mut entry.url
        && matches!(&pieces(&url.0, true)[..], [Piece::Literal(""), Piece::Reference(it), ..] if variable(it).is_some())
    {
        url.0 = URL.to_owned();
    }
    let in_a_pod = entry.command.is_none() && entry.url.is_none() || entry.pod.is_some();
    let backend = if in_a_pod && entry.image.is_some() {
        BackendKind::Kubernetes
    } else {
        BackendKind::Process
    };
    let options = LoadOptions {
        variables,
        state_dir: Some("/".into()),
        backends: BackendOptions {
            backend: Some(backend),
            ..BackendOptions::default()
        },
        ..LoadOptions::default()
    };
    let file = Path::new("import.yaml");
    let text = match add_to_text(file, "", &[(id.clone(), entry)], IfPresent::Refuse) {
        Ok((text, _)) => text,
        Err(problems) => return messages(id, problems.problems),
    };
    match load_texts(&[(file.to_path_buf(), text)], &options) {
        Ok(_) => Vec::new(),
        Err(problems) => messages(id, problems.problems),
    }
}

fn messages(id: &ServerId, problems: Vec<Problem>) -> Vec<String> {
    let entry = format!("servers.{id}");
    let message = |problem: Problem| {
        let key = problem.key.strip_prefix(&entry).unwrap_or(&problem.key);
        match key.trim_start_matches('.') {
            "" => problem.message,
            key => format!("{key}: {}", problem.message),
        }
    };
    problems.into_iter().map(message).collect()
}
