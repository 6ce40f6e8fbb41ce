//! `ps`: lists the servers and their instances.

use std::io::IsTerminal as _;
use std::time::Duration;

use mcp_orchestrator_gateway::control::wire::{InstanceInfo, InstanceState};
use serde_json::{Map, Value};

use crate::args::{Output, PsArgs};
use crate::connection::Site;
use crate::exit::{Exit, Failure};
use crate::output;

/// Refresh interval of `--watch`.
const INTERVAL: Duration = Duration::from_secs(2);

pub(crate) async fn run(args: &PsArgs, form: Output) -> Result<Exit, Failure> {
    let site = Site::find(&args.files)?;
    if !args.watch {
        return show(&site, form).await;
    }
    loop {
        if std::io::stdout().is_terminal() && form == Output::Table {
            // Move the cursor home and clear the screen.
            output::raw("\x1b[H\x1b[2J")?;
        }
        show(&site, form).await?;
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn show(site: &Site, form: Output) -> Result<Exit, Failure> {
    let instances = site.told(site.client().checked_instances().await)?;
    if form == Output::Json {
        let all: Vec<Value> = instances.iter().map(object).collect();
        output::json(&all)?;
        return Ok(Exit::Done);
    }
    let head = [
        "SERVER",
        "STATE",
        "UPTIME",
        "IN FLIGHT",
        "CALLS",
        "TOOLS",
        "INSTANCE",
        "DETAILS",
    ];
    let rows: Vec<_> = instances.iter().map(row).collect();
    output::table(head, &rows, "no servers are configured")?;
    for conflict in site.told(site.client().conflicts().await)?.conflicts {
        output::line(&output::clean(&conflict.message))?;
    }
    Ok(Exit::Done)
}

/// Returns an instance as a JSON object, with its place as an object too.
pub(crate) fn object(instance: &InstanceInfo) -> Value {
    let mut value = serde_json::to_value(instance).unwrap_or_default();
    let place: Map<String, Value> = instance
        .place
        .iter()
        .map(|(name, value)| (name.clone(), Value::String(value.clone())))
        .collect();
    value["place"] = Value::Object(place);
    value
}

fn row(instance: &InstanceInfo) -> [String; 8] {
    let none = || "-".to_owned();
    let place = instance
        .place
        .iter()
        .map(|(name, value)| format!("{name} {value}"));
    let about = instance.reason.iter().map(|reason| {
        let first = reason.lines().next().unwrap_or_default();
        first.to_owned()
    });
    let about: Vec<String> = place.chain(about).collect();
    [
        instance.server.clone(),
        state(instance.state).to_owned(),
        instance.uptime_secs.map_or_else(none, output::span),
        instance.calls.to_string(),
        instance.served.to_string(),
        instance.tools.map_or_else(none, |tools| tools.to_string()),
        instance.instance.clone().unwrap_or_else(none),
        about.join("; "),
    ]
}

pub(crate) fn state(state: InstanceState) -> &'static str {
    match state {
        InstanceState::Starting => "starting",
        InstanceState::Running => "running",
        InstanceState::Resting => "idle",
        InstanceState::Failed => "failed",
    }
}
