//! `catalog`, `install`, `rotate`, `uninstall`, `installations`: manage credentials of servers and their owners.

use mcp_orchestrator_gateway::control::wire::credentials::{
    CatalogText, InstallRequest, InstallationText, UninstallRequest,
};

use super::sign_in::{Wanted, sign_in};
use crate::args::{InstallArgs, Output, OwnedArgs};
use crate::connection::Site;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::secret_input;
use crate::site_args::SiteArgs;
use crate::spinner::Spinner;

pub(crate) async fn catalog(args: &SiteArgs, form: Output) -> Result<Exit, Failure> {
    let site = Site::find(args)?;
    let catalog = site.told(site.client().catalog().await)?;
    if form == Output::Json {
        output::json(&catalog.servers)?;
        return Ok(Exit::Done);
    }
    let mut rows = Vec::new();
    for server in &catalog.servers {
        for (n, slot) in server.slots.iter().enumerate() {
            let name = if n == 0 {
                server.server.clone()
            } else {
                String::new()
            };
            let owners = if n == 0 {
                server.owners.join(", ")
            } else {
                String::new()
            };
            let mut kind = vec![if slot.plain { "plain" } else { "secret" }];
            kind.push(if slot.required {
                "required"
            } else {
                "optional"
            });
            rows.push([
                name,
                slot.name.clone(),
                kind.join(", "),
                slot.reaches.clone(),
                slot.description.clone().unwrap_or_default(),
                owners,
            ]);
        }
    }
    let head = [
        "SERVER",
        "SLOT",
        "KIND",
        "PASSED AS",
        "DESCRIPTION",
        "AVAILABLE TO",
    ];
    output::table(head, &rows, "no server needs a credential")?;
    Ok(Exit::Done)
}

/// Installs a credential, or replaces the values of an installed one.
pub(crate) async fn install(
    args: InstallArgs,
    rotate: bool,
    form: Output,
) -> Result<Exit, Failure> {
    let site = Site::find(&args.files)?;
    let client = site.client();
    let catalog = site.told(client.catalog().await)?;
    let configured = site.told(client.status().await)?.servers;
    let server = find(&catalog.servers, &args.server, &configured)?;
    let values = secret_input::read(server, &args.value, rotate)?;
    if let Some(slot) = &server.oauth
        && !values.contains_key(slot)
    {
        let wanted = Wanted {
            server: args.server,
            owner: args.owner,
            values,
            redirect_uri: server.redirect_uri.clone(),
        };
        let installed = sign_in(&site, &client, wanted).await?;
        return told(&installed, rotate, form);
    }
    let request = InstallRequest {
        values,
        server: args.server.clone(),
        owner: args.owner,
        rotate,
        unchecked: args.unchecked,
    };
    let waiting = Spinner::on(&format!("testing {}", args.server));
    let installed = site.told(client.install(&request).await)?;
    drop(waiting);
    told(&installed, rotate, form)
}

fn told(installed: &InstallationText, rotate: bool, form: Output) -> Result<Exit, Failure> {
    if form == Output::Json {
        output::json(&installed)?;
    } else {
        let what = if rotate { "rotated" } else { "installed" };
        let (server, owner) = (&installed.server, &installed.owner);
        output::line(&format!("{what} {server} for {owner}"))?;
        for warning in &installed.warnings {
            output::note(&format!("warning: {warning}"));
        }
    }
    Ok(Exit::Done)
}

fn find<'c>(
    servers: &'c [CatalogText],
    name: &str,
    configured: &[String],
) -> Result<&'c CatalogText, Failure> {
    let found = servers.iter().find(|known| known.server == name);
    found.ok_or_else(|| {
        let known = servers.iter().map(|known| &known.server[..]);
        let is_configured = configured.iter().any(|known| known == name);
        let (text, hint) = match (is_configured, servers.is_empty()) {
            (true, true) => (format!("server {name} needs no credential"), String::new()),
            (true, false) => {
                let known: Vec<&str> = known.collect();
                let hint = format!("\n  these servers take one: {}", known.join(", "));
                (format!("server {name} needs no credential"), hint)
            }
            (false, true) => (
                format!("no server named {name} needs a credential"),
                "; no configured server does".to_owned(),
            ),
            (false, false) => (
                format!("no server named {name} needs a credential"),
                crate::suggest::hint(name, known),
            ),
        };
        Failure::failed(format!("{text}{hint}"))
    })
}

pub(crate) async fn uninstall(args: OwnedArgs, form: Output) -> Result<Exit, Failure> {
    let site = Site::find(&args.files)?;
    let request = UninstallRequest {
        server: args.server,
        owner: args.owner,
    };
    let removed = site.told(site.client().uninstall(&request).await)?;
    if form == Output::Json {
        output::json(&serde_json::json!({
            "server": request.server,
            "owner": request.owner,
            "pending": removed.pending,
            "unknown": removed.unknown,
        }))?;
    } else {
        let (server, owner) = (&request.server, &request.owner);
        let end = if removed.unknown {
            "the backend has not reported its instances yet; the gateway removes those that use the credential"
                .to_owned()
        } else if removed.pending.is_empty() {
            "its instances are removed".to_owned()
        } else {
            format!(
                "the gateway is still removing its instances, see `ps`:\n  {}",
                removed.pending.join("\n  ")
            )
        };
        output::line(&format!("uninstalled {server} for {owner}: {end}"))?;
    }
    Ok(Exit::Done)
}

pub(crate) async fn installations(args: &SiteArgs, form: Output) -> Result<Exit, Failure> {
    let site = Site::find(args)?;
    let known = site.told(site.client().installations().await)?;
    if form == Output::Json {
        output::json(&known.installations)?;
        return Ok(Exit::Done);
    }
    let rows: Vec<[String; 6]> = known.installations.iter().map(row).collect();
    output::table(
        ["SERVER", "OWNER", "SLOTS", "INSTALLED", "BY", "EXPIRES"],
        &rows,
        "nothing is installed",
    )?;
    Ok(Exit::Done)
}

fn row(known: &InstallationText) -> [String; 6] {
    let slots = known.slots.iter().map(|(slot, value)| match value {
        Some(value) => format!("{slot}={value}"),
        None => slot.clone(),
    });
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    [
        known.server.clone(),
        known.owner.clone(),
        slots.collect::<Vec<_>>().join(", "),
        or_dash(&known.installed_at),
        or_dash(&known.installed_by),
        match &known.ended {
            Some(why) => format!("{}; sign in again: {why}", or_dash(&known.expires_at)),
            None => or_dash(&known.expires_at),
        },
    ]
}
