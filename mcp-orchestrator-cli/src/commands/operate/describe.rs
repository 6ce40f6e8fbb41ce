//! `describe`: shows what a server runs, its history, and details of its instances, or of a single instance.

use mcp_orchestrator_gateway::control::wire::{Described, EventText, InstanceState, ServerInfo};

use super::ps::state;
use crate::args::{DescribeArgs, Output};
use crate::connection::Site;
use crate::exit::{Exit, Failure};
use crate::output::{self, clean};

pub(crate) async fn run(args: &DescribeArgs, form: Output) -> Result<Exit, Failure> {
    let site = Site::find(&args.files)?;
    let known = site.told(site.client().describe(&args.name).await)?;
    if form == Output::Json {
        output::json(&known)?;
        return Ok(Exit::Done);
    }
    let about = known.server.as_ref().map(of_server);
    let blocks = about.into_iter().chain(known.instances.iter().map(lines));
    for (n, block) in blocks.enumerate() {
        if n > 0 {
            output::line("")?;
        }
        for line in block {
            output::line(&line)?;
        }
    }
    for extension in &known.extensions {
        output::line(&format!("notice: {}", clean(&extension.message)))?;
    }
    if known.instances.is_empty() {
        let failed = known
            .server
            .as_ref()
            .is_some_and(|server| server.state == InstanceState::Failed);
        output::line(match failed {
            true => "no instance is running; the next call tries to start one",
            false => "no instance is running; the next call starts one",
        })?;
    }
    Ok(Exit::Done)
}

/// Returns what a server runs, and its history.
fn of_server(server: &ServerInfo) -> Vec<String> {
    let (what, runs) = &server.runs;
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let facts = [
        ("server".to_owned(), server.server.clone()),
        (what.clone(), runs.clone()),
        ("state".to_owned(), state(server.state).to_owned()),
        (
            "tools".to_owned(),
            or_dash(server.tools.map(|tools| tools.to_string())),
        ),
        (
            "calls".to_owned(),
            format!("{} ({} in flight)", server.calls, server.in_flight),
        ),
        ("restarts".to_owned(), server.restarts.to_string()),
        ("last error".to_owned(), or_dash(server.last_error.clone())),
    ];
    columns(&facts)
}

fn lines(of: &Described) -> Vec<String> {
    let phase = serde_json::to_value(of.phase).unwrap_or_default();
    let phase = phase.as_str().unwrap_or_default().to_owned();
    let mut facts = vec![
        ("server".to_owned(), of.server.clone()),
        ("instance".to_owned(), of.instance.clone()),
        ("owner".to_owned(), of.owner.clone()),
        ("state".to_owned(), format!("{phase} since {}", of.since)),
    ];
    facts.extend(
        of.reason
            .iter()
            .map(|reason| ("why".to_owned(), reason.clone())),
    );
    facts.extend(of.details.iter().cloned());
    let mut lines = columns(&facts);
    if !of.events.is_empty() {
        lines.push("events".to_owned());
        lines.extend(of.events.iter().map(event));
    }
    if !of.commands.is_empty() {
        lines.push("commands that show more".to_owned());
        for (what, line) in &of.commands {
            lines.push(format!("  # {}", clean(what)));
            lines.push(format!("  {}", clean(line)));
        }
    }
    lines
}

/// Formats names and values in two columns. Further lines of a value are aligned with its first.
fn columns(facts: &[(String, String)]) -> Vec<String> {
    let wide = facts.iter().map(|(name, _)| name.len()).max();
    let wide = wide.unwrap_or_default();
    let mut lines: Vec<String> = Vec::new();
    for (name, value) in facts {
        let mut name = name.as_str();
        for line in value.lines() {
            lines.push(format!("{name:<wide$}  {}", clean(line)));
            name = "";
        }
    }
    lines
}

fn event(event: &EventText) -> String {
    let at = event.at.as_deref().unwrap_or_default();
    let text = format!("  {at} {}", clean(&event.text));
    text.replacen("   ", "  ", 1)
}
