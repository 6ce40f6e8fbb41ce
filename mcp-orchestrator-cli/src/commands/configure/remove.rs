//! `remove`: removes a server from the configuration file.

use mcp_orchestrator_core::config::{load, load_texts, remove_from_text, remove_server};
use mcp_orchestrator_core::id::ServerId;

use crate::args::RemoveArgs;
use crate::connection::Site;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::suggest;

pub(crate) fn run(args: &RemoveArgs) -> Result<Exit, Failure> {
    let site = Site::here(&args.files)?;
    let id = ServerId::new(&args.name).map_err(Failure::usage)?;
    for file in site.files.iter().rev() {
        let text = std::fs::read_to_string(file)
            .map_err(|error| Failure::failed(format!("{}: {error}", file.display())))?;
        let Some(now) = remove_from_text(file, &text, &id).map_err(Failure::usage)? else {
            continue;
        };
        // Refuse if the server is still referenced, because the configuration would become invalid.
        let texts = [(file.clone(), now)];
        if site.files.len() == 1
            && load(&site.files, &site.options).is_ok()
            && let Err(problems) = load_texts(&texts, &site.options)
        {
            let text = format!(
                "nothing was removed: {} is still in use\n{problems}",
                args.name
            );
            return Err(Failure::usage(text));
        }
        remove_server(file, &id).map_err(Failure::usage)?;
        output::line(&format!("removed {id} from {}", file.display()))?;
        return Ok(Exit::Done);
    }
    let known = site.settings().map(|settings| settings.servers);
    let known: Vec<String> = known
        .unwrap_or_default()
        .iter()
        .map(|server| server.id.to_string())
        .collect();
    let hint = suggest::hint(&args.name, known.iter().map(String::as_str));
    let text = format!("server {} is not configured{hint}", args.name);
    Err(Failure::failed(text))
}
