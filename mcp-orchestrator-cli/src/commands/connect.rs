//! `connect`: what a client needs to use the gateway.

use mcp_orchestrator_core::id::GatewayId;
use mcp_orchestrator_gateway::control::ClientError;

use crate::args::ConnectArgs;
use crate::clients::{self, Change};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::site::Site;

pub(super) async fn run(args: &ConnectArgs) -> Result<Exit, Failure> {
    let site = Site::find(&args.files)?;
    let url = url(&site, &args.gateway).await?;
    let client = clients::get(args.client);
    let file = match &args.file {
        Some(file) => file.clone(),
        None => client.file()?,
    };
    if !args.write {
        output::note(&format!("# into {}", file.display()));
        output::line(client.snippet(&args.name, &url).trim_end())?;
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
    match client.write(&file, &args.name, &url)? {
        Change::None => output::line(&format!("{} has it already", file.display()))?,
        Change::Made(None) => output::line(&format!("created {}", file.display()))?,
        Change::Made(Some(backup)) => output::line(&format!(
            "changed {}; what it was stands in {}",
            file.display(),
            backup.display()
        ))?,
    }
    Ok(Exit::Done)
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
            output::note("note: no gateway runs now; this is where it will listen");
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
    Failure::failed(format!(
        "gateway {gateway} is not configured; these are: {}",
        names.join(", ")
    ))
}
