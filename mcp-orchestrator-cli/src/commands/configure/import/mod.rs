//! `import`: adds the servers of another program's configuration file, or of a registry, to the configuration file.
//! Shows what will run and asks for confirmation.

mod preview;

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;

use mcp_orchestrator_core::config::{
    BackendKind, ImportOptions, ImportValues, Imported, ImportedVariable, import_file, import_url,
    load,
};
use mcp_orchestrator_core::id::ServerId;
use serde_json::{Value, json};

use super::check::place;
use crate::args::{ImportArgs, Output};
use crate::config_file;
use crate::exit::{Exit, Failure};
use crate::output;

pub(crate) async fn run(args: &ImportArgs, form: Output) -> Result<Exit, Failure> {
    let file = config_file::own_file(&args.files)?;
    let options = options(args, &file)?;
    let named = args.file.to_string_lossy();
    let imported = if named.starts_with("https://") || named.starts_with("http://") {
        import_url(&named, &options).await
    } else {
        import_file(&args.file, &options)
    };
    let mut imported = imported.map_err(Failure::usage)?;
    for notice in &imported.notices {
        output::note(&format!("notice: {}", place(&notice.into())));
    }
    if imported.servers.is_empty() {
        let text = format!("{} has no servers to import", args.file.display());
        return Err(Failure::usage(text));
    }
    config_file::keep_valid(&file, &args.files, &mut imported.servers)?;
    let kept = &imported.servers;
    imported
        .risks
        .retain(|risk| kept.iter().any(|(id, _)| *id == risk.server));
    preview::show(&imported, options.values);
    agree(args, &imported, &file)?;
    config_file::add(&file, &args.files, &imported.servers, args.replace)?;
    report(args, &imported.variables, form)?;
    Ok(Exit::Done)
}

fn options(args: &ImportArgs, file: &Path) -> Result<ImportOptions, Failure> {
    let name = args.name.as_deref().map(ServerId::new).transpose();
    Ok(ImportOptions {
        workspace: None,
        values: if args.keep_values {
            ImportValues::Keep
        } else {
            ImportValues::Reference
        },
        containers: containers(args, file)?,
        name: name.map_err(Failure::usage)?,
        only: args.server.clone(),
    })
}

/// Returns `true` if the servers of this configuration run as pods by default.
fn containers(args: &ImportArgs, file: &Path) -> Result<bool, Failure> {
    let options = args.files.load_options().map_err(Failure::usage)?;
    if let Some(backend) = &options.backends.backend {
        return Ok(*backend == BackendKind::Kubernetes);
    }
    let loaded = file.exists().then(|| load(&[file.to_path_buf()], &options));
    let default = loaded
        .and_then(Result::ok)
        .map(|loaded| loaded.settings.backends.default);
    Ok(default == Some(BackendKind::Kubernetes))
}

/// Asks for confirmation on a terminal. Without a terminal, fails if any server has a risk that needs confirmation.
fn agree(args: &ImportArgs, imported: &Imported, file: &Path) -> Result<(), Failure> {
    if args.yes {
        return Ok(());
    }
    if io::stdin().is_terminal() && io::stderr().is_terminal() {
        let question = format!("write this into {}? [y/N] ", file.display());
        let _ = write!(io::stderr().lock(), "{}", output::clean(&question));
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        read.map_err(|error| Failure::failed(format!("standard input: {error}")))?;
        return match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::usage("nothing was written")),
        };
    }
    let risks = imported.risks.iter().filter(|risk| risk.confirm);
    let risks: Vec<String> = risks
        .map(|risk| format!("  {}: {}", risk.server, output::clean(&risk.text)))
        .collect();
    if risks.is_empty() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "nothing was written, because this needs your consent:\n{}\n  read what will run above, then add --yes",
        risks.join("\n")
    )))
}

/// Prints the variables that the new entries need.
fn report(args: &ImportArgs, variables: &[ImportedVariable], form: Output) -> Result<(), Failure> {
    if form == Output::Json {
        let variables: Vec<Value> = variables
            .iter()
            .map(|variable| {
                json!({
                    "name": variable.name,
                    "used_by": variable.used_by,
                    "left_behind": variable.left_behind,
                })
            })
            .collect();
        return output::json(&variables);
    }
    if variables.is_empty() {
        return Ok(());
    }
    let source = args.file.display().to_string();
    let rows: Vec<[String; 3]> = variables
        .iter()
        .map(|variable| {
            let value = if variable.left_behind {
                format!("in {source}")
            } else if variable.theirs {
                "as the file names it".to_owned()
            } else {
                "yours".to_owned()
            };
            [variable.name.clone(), variable.used_by.join(" "), value]
        })
        .collect();
    output::line("these variables must be set where the gateway runs:")?;
    output::table(["VARIABLE", "FOR", "ITS VALUE"], &rows, "")
}
