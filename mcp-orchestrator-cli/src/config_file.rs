//! Selects and edits the configuration file that `add` and `import` write to.

use std::path::{Path, PathBuf};

use mcp_orchestrator_core::config::{
    IfPresent, Problem, Problems, ServerEntry, add_servers, add_to_text, load_texts,
};
use mcp_orchestrator_core::id::ServerId;
use mcp_orchestrator_gateway::args::FileArgs;
use mcp_orchestrator_gateway::discover;

use crate::exit::Failure;
use crate::output;

/// File that is created if none exists.
const NEW: &str = "mcp-orchestrator.yaml";

/// Returns the last file that was given, else the one in the current directory, else a new one there.
pub(crate) fn file(args: &FileArgs) -> Result<PathBuf, Failure> {
    if let Some(named) = args.config.last() {
        return Ok(named.clone());
    }
    Ok(discover::config_files(&[])
        .ok()
        .and_then(|files| files.into_iter().next_back())
        .unwrap_or_else(|| PathBuf::from(NEW)))
}

/// Like [`file()`], for an import: never returns a file of another program.
pub(crate) fn own_file(args: &FileArgs) -> Result<PathBuf, Failure> {
    let found = file(args)?;
    let foreign = args.config.is_empty() && found.extension().is_some_and(|end| end == "json");
    Ok(if foreign { PathBuf::from(NEW) } else { found })
}

/// Adds servers to the file and reports it. Fails if they would make the file invalid.
pub(crate) fn add(
    file: &Path,
    args: &FileArgs,
    servers: &[(ServerId, ServerEntry)],
    replace: bool,
) -> Result<(), Failure> {
    let if_present = if replace {
        IfPresent::Replace
    } else {
        IfPresent::Refuse
    };
    try_first(file, args, servers, if_present)?;
    let written = add_servers(file, servers, if_present).map_err(present)?;
    let names: Vec<&str> = servers.iter().map(|(id, _)| id.as_str()).collect();
    let (names, file) = (names.join(", "), file.display());
    output::line(&if written.created {
        format!("created {file} with {names}")
    } else if written.replaced.is_empty() {
        format!("added {names} to {file}")
    } else {
        format!("replaced {names} in {file}")
    })?;
    if written.created {
        output::note(
            "next: `mcp-orchestrator check --start` tries it, `mcp-orchestrator up` runs the gateway",
        );
    }
    Ok(())
}

/// Fails if the file would be invalid with the new servers. Prints notices about them.
fn try_first(
    file: &Path,
    args: &FileArgs,
    servers: &[(ServerId, ServerEntry)],
    if_present: IfPresent,
) -> Result<(), Failure> {
    let (problems, notices) = tried(file, args, servers, if_present)?;
    let own = |found: Vec<Problem>| -> Vec<String> {
        let own = found
            .into_iter()
            .filter(|problem| servers.iter().any(|(id, _)| is_of(problem, id)));
        own.map(|problem| format!("{}: {}", problem.key, problem.message))
            .collect()
    };
    for name in unset_variables(args, servers)? {
        output::note(&format!(
            "note: the gateway needs the variable {name}, which is not set here"
        ));
    }
    let problems = own(problems);
    if !problems.is_empty() {
        return Err(Failure::usage(format!(
            "nothing was written:\n{}",
            problems.join("\n")
        )));
    }
    for notice in own(notices) {
        output::note(&format!("warning: {notice}"));
    }
    Ok(())
}

/// Removes the servers that would make the file invalid, with a note about each. Fails if none remains.
pub(crate) fn keep_valid(
    file: &Path,
    args: &FileArgs,
    servers: &mut Vec<(ServerId, ServerEntry)>,
) -> Result<(), Failure> {
    let (problems, _) = tried(file, args, servers, IfPresent::Replace)?;
    let mut rejected = Vec::new();
    servers.retain(|(id, _)| {
        let own: Vec<&Problem> = problems.iter().filter(|it| is_of(it, id)).collect();
        let message = |problem: &&Problem| format!("{}: {}", problem.key, problem.message);
        rejected.extend(own.iter().map(message));
        own.is_empty()
    });
    if servers.is_empty() {
        let problems = rejected.join("\n");
        return Err(Failure::usage(format!("nothing was written:\n{problems}")));
    }
    for problem in rejected {
        let text = format!("notice: {problem}; this server is left out");
        output::note(&output::clean(&text));
    }
    Ok(())
}

/// Returns `true` if a problem concerns this server.
fn is_of(problem: &Problem, id: &ServerId) -> bool {
    let key = format!("servers.{id}");
    problem.key == key || problem.key.starts_with(&format!("{key}."))
}

/// Loads the file with the new servers and returns the problems and notices. Variables that are not set here may be set
/// where the gateway runs.
fn tried(
    file: &Path,
    args: &FileArgs,
    servers: &[(ServerId, ServerEntry)],
    if_present: IfPresent,
) -> Result<(Vec<Problem>, Vec<Problem>), Failure> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(Failure::failed(format!("{}: {error}", file.display()))),
    };
    let (text, _) = add_to_text(file, &text, servers, if_present).map_err(present)?;
    let mut options = args.load_options().map_err(Failure::usage)?;
    let unset = unset_variables(args, servers)?;
    for name in &unset {
        options.variables.env.insert(name.clone(), "1".to_owned());
    }
    Ok(match load_texts(&[(file.to_path_buf(), text)], &options) {
        Ok(loaded) => (Vec::new(), loaded.notices),
        Err(mut wrong) => {
            wrong.problems.retain(|problem| {
                !servers.iter().any(|(id, entry)| {
                    let url = entry.url.as_ref().map(|url| url.0.as_str());
                    let open = |name: &String| {
                        url.is_some_and(|url| url.contains(&format!("${{{name}}}")))
                    };
                    problem.key == format!("servers.{id}.url") && unset.iter().any(open)
                })
            });
            (wrong.problems, wrong.notices)
        }
    })
}

/// Returns the variables without a default that these servers reference and that are not set here.
fn unset_variables(
    args: &FileArgs,
    servers: &[(ServerId, ServerEntry)],
) -> Result<Vec<String>, Failure> {
    let options = args.load_options().map_err(Failure::usage)?;
    let mut names = variables(servers);
    names.retain(|name| !options.variables.env.contains_key(name));
    Ok(names)
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn present(problems: Problems) -> Failure {
    let mut text = problems.to_string();
    if text.contains("already exists in this file") {
        text.push_str("\n  use --replace to overwrite it");
    } else if text.contains("import it instead") {
        text.push_str("\n  `mcp-orchestrator import FILE` does, into mcp-orchestrator.yaml");
    }
    Failure::usage(text)
}

/// Returns the variables without a default that these entries reference.
fn variables(servers: &[(ServerId, ServerEntry)]) -> Vec<String> {
    let mut names = Vec::new();
    for (_, entry) in servers {
        let text = serde_json::to_string(entry).unwrap_or_default();
        for part in text.split("${").skip(1) {
            let Some((name, _)) = part.split_once('}') else {
                continue;
            };
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if !name.is_empty() && name != "PORT" && name.chars().all(plain) {
                names.push(name.to_owned());
            }
        }
    }
    names.sort();
    names.dedup();
    names
}
