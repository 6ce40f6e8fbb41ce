//! `describe`: all that is known of a server's instances, or of one.

use mcp_orchestrator_gateway::control::wire::{Described, EventText};

use crate::args::{DescribeArgs, Output};
use crate::exit::{Exit, Failure};
use crate::output::{self, clean};
use crate::site::Site;

pub(super) async fn run(args: &DescribeArgs, form: Output) -> Result<Exit, Failure> {
    let site = Site::find(&args.files)?;
    let known = site.told(site.client().describe(&args.name).await)?;
    if form == Output::Json {
        output::json(&known.instances)?;
        return Ok(Exit::Done);
    }
    for (n, instance) in known.instances.iter().enumerate() {
        if n > 0 {
            output::line("")?;
        }
        for line in lines(instance) {
            output::line(&line)?;
        }
    }
    Ok(Exit::Done)
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
    let wide = facts
        .iter()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or_default();
    let mut lines: Vec<String> = Vec::new();
    for (name, value) in &facts {
        let mut name = name.as_str();
        for line in value.lines() {
            lines.push(format!("{name:<wide$}  {}", clean(line)));
            name = "";
        }
    }
    if !of.events.is_empty() {
        lines.push("events".to_owned());
        lines.extend(of.events.iter().map(event));
    }
    if !of.commands.is_empty() {
        lines.push("see for yourself".to_owned());
        for (what, line) in &of.commands {
            lines.push(format!("  # {}", clean(what)));
            lines.push(format!("  {}", clean(line)));
        }
    }
    lines
}

fn event(event: &EventText) -> String {
    let at = event.at.as_deref().unwrap_or_default();
    let text = format!("  {at} {}", clean(&event.text));
    text.replacen("   ", "  ", 1)
}
