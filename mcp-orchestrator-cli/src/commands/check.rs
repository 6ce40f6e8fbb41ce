//! `check`: all that is wrong with the configuration, and what a running gateway says of its servers.

use mcp_orchestrator_core::config::load;
use mcp_orchestrator_gateway::args::FileArgs;
use mcp_orchestrator_gateway::control::ClientError;
use mcp_orchestrator_gateway::control::wire::{ConfigProblem, InstanceInfo, InstanceState};
use serde_json::json;

use super::ps::object;
use crate::args::Output;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::site::Site;

pub(super) async fn run(args: &FileArgs, form: Output) -> Result<Exit, Failure> {
    let site = Site::find(args)?;
    if site.files.is_empty() {
        site.settings()?;
    }
    let (problems, notices, servers) = match load(&site.files, &site.options) {
        Ok(loaded) => (Vec::new(), loaded.notices, loaded.settings.servers.len()),
        Err(wrong) => (wrong.problems, wrong.notices, 0),
    };
    let wire = |found: &[_]| found.iter().map(ConfigProblem::from).collect::<Vec<_>>();
    let (problems, notices) = (wire(&problems), wire(&notices));
    let instances = match site.client().instances().await {
        Ok(instances) => Some(instances),
        Err(ClientError::NotRunning(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let reported: Vec<&InstanceInfo> = instances
        .iter()
        .flatten()
        .filter(|instance| instance.state == InstanceState::Failed || instance.reason.is_some())
        .collect();
    if form == Output::Json {
        output::json(&json!({
            "ok": problems.is_empty(),
            "problems": problems,
            "notices": notices,
            "gateway": instances.is_some().then_some(json!({
                "reported": reported.iter().map(|instance| object(instance)).collect::<Vec<_>>(),
            })),
        }))?;
    } else {
        print(&problems, &notices, servers)?;
        let known = instances.is_some().then_some(&reported[..]);
        print_reported(known)?;
    }
    let broken = reported
        .iter()
        .any(|instance| instance.state == InstanceState::Failed);
    Ok(match (problems.is_empty(), broken) {
        (false, _) => Exit::Usage,
        (true, true) => Exit::Failed,
        (true, false) => Exit::Done,
    })
}

fn print(
    problems: &[ConfigProblem],
    notices: &[ConfigProblem],
    servers: usize,
) -> Result<(), Failure> {
    for problem in problems {
        output::line(&format!("error: {}", place(problem)))?;
    }
    for notice in notices {
        output::line(&format!("notice: {}", place(notice)))?;
    }
    match problems.len() {
        0 => output::line(&format!("the configuration is right: {servers} servers")),
        1 => output::line("the configuration has 1 problem"),
        count => output::line(&format!("the configuration has {count} problems")),
    }
}

fn print_reported(reported: Option<&[&InstanceInfo]>) -> Result<(), Failure> {
    let Some(reported) = reported else {
        return output::line("no gateway runs it");
    };
    for instance in reported {
        let reason = instance.reason.as_deref().unwrap_or("it does not run");
        output::line(&format!("server {}: {reason}", instance.server))?;
    }
    if reported.is_empty() {
        output::line("a gateway runs it, and reports nothing of its servers")?;
    }
    Ok(())
}

/// A problem as a compiler says it.
pub(super) fn place(problem: &ConfigProblem) -> String {
    let mut text = problem.file.display().to_string();
    if let (Some(line), Some(column)) = (problem.line, problem.column) {
        text.push_str(&format!(":{line}:{column}"));
    }
    if !problem.key.is_empty() {
        text.push_str(&format!(": {}", problem.key));
    }
    format!("{text}: {}", problem.message)
}
