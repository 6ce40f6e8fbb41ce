//! `import`: the servers of another program's file into ours.

use mcp_orchestrator_core::config::{ImportValues, import_file, import_url};
use serde_json::{Value, json};

use super::check::place;
use crate::args::{ImportArgs, Output};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::target;

pub(super) async fn run(args: &ImportArgs, form: Output) -> Result<Exit, Failure> {
    let values = if args.keep_values {
        ImportValues::Keep
    } else {
        ImportValues::Reference
    };
    let named = args.file.to_string_lossy();
    let imported = if named.starts_with("https://") || named.starts_with("http://") {
        import_url(&named, values).await
    } else {
        import_file(&args.file, None, values)
    };
    let imported = imported.map_err(Failure::usage)?;
    if imported.servers.is_empty() {
        let text = format!("{} has no servers", args.file.display());
        return Err(Failure::usage(text));
    }
    let file = target::own_file(&args.files)?;
    target::add(&file, &args.files, &imported.servers, args.replace)?;
    for notice in &imported.notices {
        output::note(&format!("notice: {}", place(&notice.into())));
    }
    if form == Output::Json {
        let variables: Vec<Value> = imported
            .variables
            .iter()
            .map(|variable| {
                json!({
                    "name": variable.name,
                    "used_by": variable.used_by,
                    "left_behind": variable.left_behind,
                })
            })
            .collect();
        output::json(&variables)?;
    } else if !imported.variables.is_empty() {
        let source = args.file.display().to_string();
        let rows: Vec<[String; 3]> = imported
            .variables
            .iter()
            .map(|variable| {
                let value = if variable.left_behind {
                    format!("in {source}")
                } else {
                    "yours".to_owned()
                };
                [variable.name.clone(), variable.used_by.join(" "), value]
            })
            .collect();
        output::line("these variables must be set where the gateway runs:")?;
        output::table(["VARIABLE", "FOR", "ITS VALUE"], &rows, "")?;
    }
    Ok(Exit::Done)
}
