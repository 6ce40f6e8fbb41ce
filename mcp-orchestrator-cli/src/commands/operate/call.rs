//! `call`: calls a tool and shows its progress on the terminal.

use std::io::Read as _;

use mcp_orchestrator_core::router::ItemKind;
use mcp_orchestrator_gateway::control::wire::{CallEvent, CallRequest};
use mcp_orchestrator_gateway::program::signalled;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::args::{CallArgs, Output};
use crate::connection::Site;
use crate::embedded::{Carrier, Events};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::spinner::Spinner;

/// Number of tools that an error names.
const SHOWN: usize = 20;

pub(crate) async fn run(args: CallArgs, form: Output) -> Result<Exit, Failure> {
    let site = Site::find(&args.files)?;
    let carrier = Carrier::find(&site, &args.server).await?;
    let tool = args.tool.clone().filter(|tool| tool != "-");
    let waiting = Spinner::on(&match &tool {
        Some(tool) => format!("calling {tool} of {}", args.server),
        None => format!("listing the tools of {}", args.server),
    });
    let called = async {
        let Some(tool) = tool else {
            return Err(no_tool(&args.server, &carrier).await);
        };
        let arguments = arguments(&args, &tool, &carrier).await?;
        let call = CallRequest {
            tool: tool.clone(),
            arguments,
        };
        let called = match carrier.call(&args.server, call).await {
            Ok(events) => result(events, &waiting).await,
            Err(failure) => Err(failure),
        };
        match called {
            Err(failure) => Err(unknown_tool(failure, &tool, (&args.server, &carrier)).await),
            done => done,
        }
    };
    let result = tokio::select! {
        result = called => result,
        () = signalled() => Err(Failure::interrupted()),
    };
    drop(waiting);
    carrier.end().await;
    print(&result?, form)
}

/// Adds a suggestion to a failed call if the server does not list the tool.
async fn unknown_tool(
    failure: Failure,
    tool: &str,
    (server, carrier): (&str, &Carrier),
) -> Failure {
    let listed = listed(server, carrier).await.unwrap_or_default();
    if listed.is_empty() || listed.iter().any(|name| name == tool) {
        return failure;
    }
    let hint = crate::suggest::hint(tool, listed.iter().map(String::as_str));
    failure.with(&hint)
}

/// Describes the tools to choose from.
async fn no_tool(server: &str, carrier: &Carrier) -> Failure {
    match listed(server, carrier).await {
        Ok(listed) if listed.is_empty() => {
            Failure::usage(format!("no tool was given, and {server} has none"))
        }
        Ok(listed) => Failure::usage(format!(
            "no tool was given; {server} has: {}\n  call one with `mcp-orchestrator call {server} {}`",
            some_of(&listed),
            output::clean(&listed[0])
        )),
        Err(failure) => failure,
    }
}

async fn listed(server: &str, carrier: &Carrier) -> Result<Vec<String>, Failure> {
    let tools = carrier.list(server, ItemKind::Tool).await?;
    let names = tools.iter().filter_map(|tool| {
        let tool: Value = serde_json::from_str(tool.get()).ok()?;
        tool["name"].as_str().map(str::to_owned)
    });
    Ok(names.collect())
}

/// Joins the first names of a list.
fn some_of(names: &[String]) -> String {
    let shown: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|it| output::clean(it))
        .collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Waits for the result and shows progress meanwhile.
async fn result(mut events: Events, waiting: &Spinner) -> Result<Box<RawValue>, Failure> {
    while let Some(event) = events.next().await? {
        match event {
            CallEvent::Progress(params) => waiting.say(&progress(&params)),
            CallEvent::Message(_) => {}
            CallEvent::Result(result) => return Ok(result),
            CallEvent::Error(refusal) => return Err(refusal.into()),
        }
    }
    Err(Failure::failed("the call ended without a result"))
}

fn progress(params: &RawValue) -> String {
    let params: Value = serde_json::from_str(params.get()).unwrap_or_default();
    let done = &params["progress"];
    // Progress of a start is far below one and has no total: only its message says something.
    let is_start = params["total"].is_null() && done.as_f64().is_some_and(|done| done < 0.001);
    if let Some(message) = params["message"].as_str().filter(|_| is_start) {
        return message.to_owned();
    }
    let share = match &params["total"] {
        Value::Null => done.to_string(),
        total => format!("{done} of {total}"),
    };
    match params["message"].as_str() {
        Some(message) => format!("{message} ({share})"),
        None => share,
    }
}

/// Returns the arguments as a JSON object.
async fn arguments(
    args: &CallArgs,
    tool: &str,
    carrier: &Carrier,
) -> Result<Option<Box<RawValue>>, Failure> {
    let text = match (&args.json, &args.stdin) {
        (Some(text), _) => text.clone(),
        (None, Some(_)) => {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            read.map_err(|error| Failure::failed(format!("standard input: {error}")))?;
            text
        }
        (None, None) if args.args.is_empty() => "{}".to_owned(),
        (None, None) => {
            // Without a list, types are guessed. If the tool is unknown, the call reports it.
            let tools = carrier.list(&args.server, ItemKind::Tool).await.ok();
            let schema = tools.and_then(|tools| schema(&tools, tool));
            typed(&args.args, &schema.unwrap_or_default())?.to_string()
        }
    };
    // Do not show the parse error, because arguments may be secret.
    let raw = RawValue::from_string(text.trim().to_owned())
        .ok()
        .filter(|raw| raw.get().starts_with('{'));
    let raw = raw.ok_or_else(|| {
        Failure::usage("the arguments must be one JSON object, e.g. '{\"key\": \"value\"}'")
    })?;
    Ok(Some(raw))
}

fn schema(tools: &[Box<RawValue>], name: &str) -> Option<Value> {
    tools.iter().find_map(|tool| {
        let mut tool: Value = serde_json::from_str(tool.get()).ok()?;
        (tool["name"] == name).then(|| tool["inputSchema"].take())
    })
}

/// Converts `KEY=VALUE` pairs to an object, with value types from the schema.
fn typed(pairs: &[String], schema: &Value) -> Result<Value, Failure> {
    let mut object = Map::new();
    for pair in pairs {
        let Some((key, text)) = pair.split_once('=') else {
            return Err(Failure::usage(
                "--arg must be KEY=VALUE; use --json for all arguments at once",
            ));
        };
        let is = &schema["properties"][key]["type"];
        let may_be_text = is.is_null()
            || is == "string"
            || is
                .as_array()
                .is_some_and(|all| all.contains(&"string".into()));
        let read = serde_json::from_str::<Value>(text);
        let value = match read {
            _ if is == "string" => Value::from(text),
            Ok(value) => value,
            Err(_) if may_be_text => Value::from(text),
            Err(_) => {
                let text = format!("--arg {key}: the tool expects a JSON value of type {is}");
                return Err(Failure::usage(text));
            }
        };
        object.insert(key.to_owned(), value);
    }
    Ok(Value::Object(object))
}

fn print(result: &RawValue, form: Output) -> Result<Exit, Failure> {
    let value: Value = serde_json::from_str(result.get()).unwrap_or_default();
    let failed = value["isError"] == true;
    if form == Output::Json {
        output::raw(result.get())?;
    } else {
        for text in texts(&value) {
            output::line(&text)?;
        }
    }
    if !failed {
        return Ok(Exit::Done);
    }
    if form == Output::Table {
        output::note("mcp-orchestrator: the tool reported an error");
    }
    Ok(Exit::ToolError)
}

/// Returns the texts of a result for display.
fn texts(result: &Value) -> Vec<String> {
    let content = result["content"].as_array();
    let texts: Vec<String> = content.into_iter().flatten().map(text).collect();
    if !texts.is_empty() {
        return texts;
    }
    match &result["structuredContent"] {
        Value::Null => vec![format!("{result:#}")],
        structured => vec![format!("{structured:#}")],
    }
}

fn text(item: &Value) -> String {
    let kind = item["type"].as_str().unwrap_or("item");
    match kind {
        "text" => item["text"].as_str().unwrap_or_default().to_owned(),
        "image" | "audio" => {
            let mime = item["mimeType"].as_str().unwrap_or("?");
            let size = item["data"].as_str().map_or(0, |data| data.len() / 4 * 3);
            format!("[{kind} {mime}, about {size} bytes: --output json shows them]")
        }
        _ => format!("{item:#}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_take_the_types_of_the_schema() {
        let schema = json!({"properties": {
            "n": {"type": "number"}, "s": {"type": "string"}, "b": {"type": "boolean"}
        }});
        let pairs = ["n=1.5", "s=12", "b=true", "x=[1]", "y=a=b"].map(str::to_owned);
        let object = typed(&pairs, &schema).unwrap();
        let expected = json!({"n": 1.5, "s": "12", "b": true, "x": [1], "y": "a=b"});
        assert_eq!(object, expected);
        let wrong = typed(&["n=many".to_owned()], &schema).unwrap_err();
        assert_eq!(wrong.exit, Exit::Usage);
    }

    #[test]
    fn progress_of_a_start_shows_no_number() {
        let shown = |params: &str| progress(&RawValue::from_string(params.to_owned()).unwrap());
        for (params, text) in [
            (
                r#"{"progress":1e-6,"message":"the MCP handshake"}"#,
                "the MCP handshake",
            ),
            (
                r#"{"progress":2,"total":4,"message":"step"}"#,
                "step (2 of 4)",
            ),
            (r#"{"progress":0,"total":4}"#, "0 of 4"),
            (r#"{"progress":5}"#, "5"),
        ] {
            assert_eq!(shown(params), text, "{params}");
        }
    }
}
