//! `connect`: what a client needs to use the gateway.

use std::path::Path;

use mcp_orchestrator_core::id::GatewayId;
use mcp_orchestrator_gateway::control::ClientError;

use crate::args::{ConnectArgs, DisconnectArgs};
use crate::clients::{self, Change, Client, Endpoint, TOKEN};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::site::Site;

pub(super) async fn run(args: &ConnectArgs) -> Result<Exit, Failure> {
    let site = Site::find(&args.files)?;
    let to = Endpoint {
        url: url(&site, &args.gateway).await?,
        with_token: site.wants_token(),
    };
    let client = clients::get(args.client);
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
    Ok(Exit::Done)
}

/// Takes the gateway out of a client's file.
pub(super) fn disconnect(args: &DisconnectArgs) -> Result<Exit, Failure> {
    let client = clients::get(args.client);
    let file = match &args.file {
        Some(file) => file.clone(),
        None => client.file()?,
    };
    match client.remove(&file, &args.name)? {
        Change::None => output::note(&format!("{} does not name {}", file.display(), args.name)),
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

/// What is left to do for a gateway that wants tokens.
fn next_step(client: &Client, to: &Endpoint, file: &Path) {
    if !to.with_token {
        return;
    }
    let make = "make a token with `mcp-orchestrator token create --user NAME`";
    output::note(&if client.reads_variable() {
        format!("next: {make}, and set it as {TOKEN} where the client starts")
    } else {
        format!("next: {make}, and put it into {}", file.display())
    });
}

/// The gateway's address: where it listens, else where it will.
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
