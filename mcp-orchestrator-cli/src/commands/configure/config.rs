//! `config`: prints the effective configuration and the origin of each value.

use mcp_orchestrator_core::config::{Effective, Origin, effective};
use serde_json::json;

use super::check::place;
use crate::args::{ConfigArgs, Output};
use crate::connection::Site;
use crate::exit::{Exit, Failure};
use crate::output;

/// Options that override a key, and their environment variables.
const OPTIONS: [(&str, &str, &str); 6] = [
    ("backend", "--backend", "MCP_ORCHESTRATOR_BACKEND"),
    (
        "kubernetes.kubeconfig",
        "--kubeconfig",
        "MCP_ORCHESTRATOR_KUBECONFIG",
    ),
    (
        "kubernetes.context",
        "--context",
        "MCP_ORCHESTRATOR_CONTEXT",
    ),
    (
        "kubernetes.namespace",
        "--namespace",
        "MCP_ORCHESTRATOR_NAMESPACE",
    ),
    ("state_dir", "--state-dir", ""),
    ("listen", "--listen", ""),
];

pub(crate) fn run(args: &ConfigArgs, form: Output) -> Result<Exit, Failure> {
    let site = Site::here(&args.files)?;
    if site.files.is_empty() {
        site.settings()?;
    }
    let mut found = match effective(&site.files, &site.options) {
        Ok(found) => found,
        Err(wrong) => {
            for problem in &wrong.problems {
                output::note(&format!("error: {}", place(&problem.into())));
            }
            let count = output::count(wrong.problems.len(), "problem");
            return Err(Failure::usage(format!("the configuration has {count}")));
        }
    };
    if let Some(prefix) = &args.prefix {
        let below = [format!("{prefix}."), format!("{prefix}[")];
        let fits = |key: &str| key == prefix || below.iter().any(|below| key.starts_with(below));
        let known: Vec<String> = found.iter().map(|one| one.key.clone()).collect();
        found.retain(|one| fits(&one.key));
        if found.is_empty() {
            let hint = crate::suggest::hint(prefix, known.iter().map(String::as_str));
            return Err(Failure::failed(format!("unknown key {prefix}{hint}")));
        }
    }
    if form == Output::Json {
        let all: Vec<_> = found
            .iter()
            .map(|one| json!({"key": one.key, "value": one.value, "source": one.origin}))
            .collect();
        output::json(&all)?;
        return Ok(Exit::Done);
    }
    let rows: Vec<[String; 3]> = found
        .iter()
        .map(|one| [one.key.clone(), one.value.clone(), source(one)])
        .collect();
    output::table(["KEY", "VALUE", "SOURCE"], &rows, "nothing is configured")?;
    Ok(Exit::Done)
}

/// Describes the origin of a value.
fn source(of: &Effective) -> String {
    match &of.origin {
        Origin::Default => "default".to_owned(),
        Origin::Argument => argument(&of.key, &of.value),
        Origin::File {
            file,
            line,
            variables,
        } => {
            let mut text = file.display().to_string();
            if let Some(line) = line {
                text.push_str(&format!(":{line}"));
            }
            for variable in variables {
                let name = &variable.name;
                text.push_str(&match variable.is_set {
                    true => format!(", environment {name}"),
                    false => format!(", default of {name}"),
                });
            }
            text
        }
    }
}

fn argument(key: &str, value: &str) -> String {
    let known = OPTIONS.iter().find(|(known, ..)| *known == key);
    let Some((_, option, variable)) = known else {
        return "command line".to_owned();
    };
    let set = std::env::var(variable).ok();
    match set.is_some_and(|set| set == value) {
        true => format!("environment {variable}"),
        false => (*option).to_owned(),
    }
}
