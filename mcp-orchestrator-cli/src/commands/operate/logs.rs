//! `logs`: prints the output of a server.

use mcp_orchestrator_gateway::control::ClientError;
use mcp_orchestrator_gateway::control::wire::{Line, LogRequest, LogText};
use serde_json::Value;

use crate::args::{LogsArgs, Output};
use crate::connection::Site;
use crate::exit::{Exit, Failure};
use crate::output;

pub(crate) async fn run(args: LogsArgs, form: Output) -> Result<Exit, Failure> {
    let site = Site::find(&args.files)?;
    let request = LogRequest {
        tail: args.tail,
        follow: args.follow,
        previous: args.previous,
        instance: args.instance,
    };
    let mut lines = site.told(site.client().logs(&args.server, &request).await)?;
    while let Some(line) = lines.next().await.map_err(broken_off)? {
        match line {
            Line::Line(text) => print(&text, form)?,
            Line::Error(refusal) => return Err(refusal.into()),
        }
    }
    Ok(Exit::Done)
}

fn broken_off(error: ClientError) -> Failure {
    match error {
        ClientError::Broken(_) => Failure::failed("the log broke off: the gateway ended"),
        other => other.into(),
    }
}

fn print(line: &LogText, form: Output) -> Result<(), Failure> {
    let source = serde_json::to_value(line.source).unwrap_or(Value::Null);
    if form == Output::Json {
        // One object per line, so that a reader can process the stream.
        let text = serde_json::to_string(line).map_err(Failure::failed)?;
        return output::raw(&text);
    }
    let source = source.as_str().unwrap_or_default();
    output::line(&format!(
        "{} {source:<12} {}",
        line.at,
        output::clean(&line.text)
    ))
}
