//! Tools that run as tasks of the modern extension if the client declared it, and directly otherwise.

use std::time::Duration;

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock,
        CreateTaskResult, InputRequest,
    },
    service::RequestContext,
    task_manager::{TaskContext, TaskExit, TaskFuture, TaskManager, TaskOptions},
};
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    content::{argument, text},
    mrtr::{Round, elicit},
};

/// How long a failing job runs before it fails.
const WORK: Duration = Duration::from_millis(500);

/// Answers a tool of this file; returns `None` for other tools.
pub(crate) async fn call(
    tasks: &TaskManager,
    request: &CallToolRequestParams,
    cx: &RequestContext<RoleServer>,
) -> Option<Result<CallToolResponse, ErrorData>> {
    let declared = cx
        .client_capabilities()
        .is_some_and(|capabilities| capabilities.supports_tasks());
    let name = request.name.as_ref();
    match name {
        "slow_compute" => Some(Ok(compute(tasks, request, declared).await)),
        "failing_job"
        | "protocol_error_job"
        | "confirm_delete"
        | "multi_input"
        | "test_tool_with_task"
            if !declared =>
        {
            let required = ClientCapabilities::builder().enable_tasks().build();
            Some(Err(ErrorData::missing_required_client_capability(required)))
        }
        "failing_job" => Some(Ok(start(tasks, |_| Box::pin(fail())))),
        "protocol_error_job" => Some(Ok(start(tasks, |_| Box::pin(break_down())))),
        "confirm_delete" => {
            let arguments = request.arguments.clone().unwrap_or_default();
            let file = argument(&arguments, "filename", "a file").to_owned();
            Some(Ok(start(tasks, |task| Box::pin(delete(task, file)))))
        }
        "multi_input" => Some(Ok(start(tasks, |task| Box::pin(two_inputs(task))))),
        "test_tool_with_task" => Some(name_then_task(tasks, request)),
        _ => None,
    }
}

fn start(tasks: &TaskManager, job: impl FnOnce(TaskContext) -> TaskFuture) -> CallToolResponse {
    let options = TaskOptions::new().with_poll_interval_ms(100);
    CreateTaskResult::new(tasks.spawn(options, job)).into()
}

async fn compute(
    tasks: &TaskManager,
    request: &CallToolRequestParams,
    declared: bool,
) -> CallToolResponse {
    let arguments = request.arguments.clone().unwrap_or_default();
    let seconds = arguments.get("seconds").and_then(Value::as_f64);
    let time = Duration::from_secs_f64(seconds.unwrap_or_default().clamp(0.0, 600.0));
    let label = argument(&arguments, "label", "it");
    let said = format!("Computed {label} in {} ms", time.as_millis());
    if declared {
        return start(tasks, move |task| {
            Box::pin(async move {
                tokio::select! {
                    () = task.cancelled() => Err(TaskExit::Cancelled),
                    () = sleep(time) => Ok(text(said)),
                }
            })
        });
    }
    sleep(time).await;
    text(said).into()
}

async fn fail() -> Result<CallToolResult, TaskExit> {
    sleep(WORK).await;
    Ok(CallToolResult::error(vec![ContentBlock::text(
        "The job failed",
    )]))
}

async fn break_down() -> Result<CallToolResult, TaskExit> {
    sleep(WORK).await;
    Err(ErrorData::internal_error("the job broke down", None).into())
}

async fn delete(task: TaskContext, file: String) -> Result<CallToolResult, TaskExit> {
    let question = request(&format!("Delete {file}?"), "confirm", "boolean")?;
    let answer = task.request_input("confirm", question).await?;
    let confirmed = answer.pointer("/content/confirm") == Some(&Value::Bool(true));
    Ok(text(if confirmed {
        format!("Deleted {file}")
    } else {
        format!("Kept {file}")
    }))
}

async fn two_inputs(task: TaskContext) -> Result<CallToolResult, TaskExit> {
    let first = task.request_input("first", request("The first name?", "name", "string")?);
    let second = task.request_input("second", request("The second name?", "name", "string")?);
    let (first, second) = tokio::try_join!(first, second)?;
    Ok(text(format!(
        "Got {} and {}",
        first["content"]["name"], second["content"]["name"]
    )))
}

fn name_then_task(
    tasks: &TaskManager,
    request: &CallToolRequestParams,
) -> Result<CallToolResponse, ErrorData> {
    let round = Round::open(
        request.input_responses.as_ref(),
        request.request_state.as_deref(),
    )?;
    let Some(name) = round.field("user_name", "name").map(ToOwned::to_owned) else {
        let requests = serde_json::json!({
            "user_name": elicit("What is your name?", "name", "string"),
        });
        return round.ask(requests, None).map(Into::into);
    };
    Ok(start(tasks, move |_| {
        Box::pin(async move { Ok(text(format!("Hello, {name}!"))) })
    }))
}

fn request(message: &str, field: &str, kind: &str) -> Result<InputRequest, TaskExit> {
    serde_json::from_value(elicit(message, field, kind))
        .map_err(|error| ErrorData::internal_error(error.to_string(), None).into())
}
