//! `connect`: shows or writes the entry that a client needs for the gateway. `disconnect` removes it.

use std::path::Path;

use clap::ValueEnum as _;
use mcp_orchestrator_core::id::GatewayId;
use mcp_orchestrator_gateway::control::ClientError;
use serde_json::json;

use crate::args::{ConnectArgs, DisconnectArgs, Output};
use crate::clients::{self, Change, Client, ClientName, Endpoint, TOKEN};
use crate::connection::Site;
use crate::exit::{Exit, Failure};
use crate::output;

pub(super) async fn run(args: &ConnectArgs, form: Output) -> Result<Exit, Failure> {
    let Some(name) = args.client else {
        return list(&args.name, form);
    };
    let site = Site::find(&args.files)?;
    let to = Endpoint {
        url: url(&site, &args.gateway).await?,
        with_token: site.wants_token(),
    };
    let client = clients::get(name);
    let file = match &args.file {
        Some(file) => file.clone(),
        None => client.file()?,
    };
    if !args.write {
        output::note(&format!("# add to {}:", file.display()));
        output::line(client.snippet(&args.name, &to).trim_end())?;
        next_step(&client, &to, &file);
        return Ok(Exit::Done);
    }
    let own = |known: &std::path::PathBuf| match (known.canonicalize(), file.canonicalize()) {
        (Ok(known), Ok(file)) => known == file,
        _ => false,
    };
    if site.files.iter().any(own) {
        let text = format!(
            "{} is the gateway's own configuration: the gateway would be a server of itself",
            file.display()
        );
        return Err(Failure::usage(text));
    }
    match client.write(&file, &args.name, &to)? {
        Change::None => output::line(&format!("{} is already up to date", file.display()))?,
        Change::Made(None) => output::line(&format!("created {}", file.display()))?,
        Change::Made(Some(backup)) => output::line(&format!(
            "updated {} (backup: {})",
            file.display(),
            backup.display()
        ))?,
    }
    next_step(&client, &to, &file);
    output::note("restart the client if it is running");
    Ok(Exit::Done)
}

/// Lists the clients: which are installed, and which contain the gateway.
fn list(name: &str, form: Output) -> Result<Exit, Failure> {
    let all = ClientName::value_variants().iter().map(|known| {
        let client = clients::get(*known);
        let value = known.to_possible_value();
        let word = value.map_or_else(String::new, |value| value.get_name().to_owned());
        let file = client.file().map(|file| file.display().to_string());
        (word, client, file.unwrap_or_default())
    });
    let rows: Vec<[String; 3]> = all
        .map(|(word, client, file)| {
            let state = match (client.names(name), client.is_found()) {
                (true, _) => "connected",
                (false, true) => "installed",
                (false, false) => "-",
            };
            [word, state.to_owned(), file]
        })
        .collect();
    if form == Output::Json {
        let all: Vec<_> = rows
            .iter()
            .map(|[client, state, file]| json!({"client": client, "state": state, "file": file}))
            .collect();
        output::json(&all)?;
    } else {
        output::table(["CLIENT", "STATE", "FILE"], &rows, "no clients")?;
        output::note("connect one with `mcp-orchestrator connect CLIENT --write`");
    }
    Ok(Exit::Done)
}

/// Removes the gateway from a client's file.
pub(super) fn disconnect(args: &DisconnectArgs) -> Result<Exit, Failure> {
    let client = clients::get(args.client);
    let file = match &args.file {
        Some(file) => file.clone(),
        None => client.file()?,
    };
    match client.remove(&file, &args.name)? {
        Change::None if !file.exists() => {
            output::note(&format!("{} does not exist", file.display()));
        }
        Change::None => output::note(&format!("{} has no server {}", file.display(), args.name)),
        Change::Made(backup) => {
            let backup = backup.map(|backup| format!(" (backup: {})", backup.display()));
            output::line(&format!(
                "removed {} from {}{}",
                args.name,
                file.display(),
                backup.unwrap_or_default()
            ))?;
        }
    }
    Ok(Exit::Done)
}

/// Prints the remaining step for a gateway that requires tokens.
fn next_step(client: &Client, to: &Endpoint, file: &Path) {
    if !to.with_token {
        return;
    }
    let make = "create a token with `mcp-orchestrator token create --user NAME`";
    output::note(&if client.reads_variable() {
        format!("next: {make}, and set {TOKEN} to it in the client's environment")
    } else {
        format!("next: {make}, and put it into {}", file.display())
    });
}

/// Returns the gateway's URL: the current one if it is running, otherwise the configured one.
async fn url(site: &Site, gateway: &str) -> Result<String, Failure> {
    match site.client().status().await {
        Ok(status) => {
            let found = status.gateways.iter().find(|known| known.name == gateway);
            found.map(|known| known.url.clone()).ok_or_else(|| {
                let names: Vec<&str> = status.gateways.iter().map(|g| g.name.as_str()).collect();
                unknown(gateway, &names)
            })
        }
        Err(ClientError::NotRunning(_)) if !site.files.is_empty() => {
            let settings = site.settings()?;
            let names: Vec<&str> = settings.gateways.iter().map(|g| g.id.as_str()).collect();
            if !names.contains(&gateway) {
                return Err(unknown(gateway, &names));
            }
            if settings.listen.port() == 0 {
                return Err(site.not_running());
            }
            output::note("note: no gateway is running; it will listen here");
            let path = if gateway == GatewayId::default_gateway().as_str() {
                String::new()
            } else {
                format!("/{gateway}")
            };
            Ok(format!("http://{}/mcp{path}", settings.listen))
        }
        Err(error) => site.told(Err(error)),
    }
}

fn unknown(gateway: &str, names: &[&str]) -> Failure {
    let hint = crate::suggest::hint(gateway, names.iter().copied());
    Failure::failed(format!("gateway {gateway} is not configured{hint}"))
}
