//! Tools that send messages while they run: log messages, progress, changes, and whether they were cancelled.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolResult, LoggingLevel, LoggingMessageNotificationParam, ProgressNotificationParam,
    },
    service::RequestContext,
};
use serde_json::json;
use tokio::time::sleep;

use crate::{changes::Change, content::text, handler::Fixture};

/// The delay between two messages of a tool in this file.
const STEP: Duration = Duration::from_millis(50);
/// The longest wait of `test_wait_for_cancel`.
const MAX_CANCEL_WAIT: Duration = Duration::from_secs(30);

static CANCELLED: AtomicU64 = AtomicU64::new(0);

/// Answers a tool of this file; returns `None` for other tools.
pub(crate) async fn call(
    fixture: &Fixture,
    name: &str,
    cx: &RequestContext<RoleServer>,
) -> Option<Result<CallToolResult, ErrorData>> {
    let said = match name {
        "test_tool_with_logging" => log(fixture, cx).await,
        "test_logging_tool" => {
            message(fixture, cx, "Tool was called").await;
            "Logged what the level allows"
        }
        "test_tool_with_progress" => progress(cx).await,
        "test_reconnection" => {
            sleep(2 * STEP).await;
            "Reconnection test completed"
        }
        "test_trigger_tool_change" => {
            fixture.changes().make(Change::Tools).await;
            "Changed the list of tools"
        }
        "test_trigger_prompt_change" => {
            fixture.changes().make(Change::Prompts).await;
            "Changed the list of prompts"
        }
        "test_trigger_resource_update" => {
            fixture.changes().make(Change::Resource).await;
            "Updated the watched resource"
        }
        "test_wait_for_cancel" => wait(cx).await,
        "test_cancel_count" => return Some(Ok(text(CANCELLED.load(Ordering::SeqCst).to_string()))),
        _ => return None,
    };
    Some(Ok(text(said)))
}

async fn log(fixture: &Fixture, cx: &RequestContext<RoleServer>) -> &'static str {
    message(fixture, cx, "Tool execution started").await;
    sleep(STEP).await;
    message(fixture, cx, "Tool processing data").await;
    sleep(STEP).await;
    message(fixture, cx, "Tool execution completed").await;
    "Tool with logging executed"
}

async fn message(fixture: &Fixture, cx: &RequestContext<RoleServer>, data: &str) {
    let level = LoggingLevel::Info;
    let least = if Fixture::is_modern(cx) {
        cx.meta.log_level()
    } else {
        Some(fixture.session().level())
    };
    if least.is_some_and(|least| rank(level) >= rank(least)) {
        let message =
            LoggingMessageNotificationParam::new(level, json!(data)).with_logger("fixture");
        // A disconnected peer needs no log message.
        let _ = cx.peer.notify_logging_message(message).await;
    }
}

/// Returns the rank of a severity, in ascending order.
fn rank(level: LoggingLevel) -> u8 {
    match level {
        LoggingLevel::Debug => 0,
        LoggingLevel::Info => 1,
        LoggingLevel::Notice => 2,
        LoggingLevel::Warning => 3,
        LoggingLevel::Error => 4,
        LoggingLevel::Critical => 5,
        LoggingLevel::Alert => 6,
        LoggingLevel::Emergency => 7,
    }
}

async fn progress(cx: &RequestContext<RoleServer>) -> &'static str {
    let token = cx.meta.get_progress_token();
    for (progress, said) in [(0.0, "begun"), (50.0, "half"), (100.0, "done")] {
        if let Some(token) = token.clone() {
            let told = ProgressNotificationParam::new(token, progress)
                .with_total(100.0)
                .with_message(said);
            // A disconnected peer needs no progress.
            let _ = cx.peer.notify_progress(told).await;
        }
        sleep(STEP).await;
    }
    "Tool with progress executed"
}

async fn wait(cx: &RequestContext<RoleServer>) -> &'static str {
    if let Some(token) = cx.meta.get_progress_token() {
        // Progress shows the client that the call is running and can be cancelled. A disconnected peer needs no
        // progress.
        let _ = cx
            .peer
            .notify_progress(ProgressNotificationParam::new(token, 1.0))
            .await;
    }
    tokio::select! {
        () = cx.ct.cancelled() => {
            CANCELLED.fetch_add(1, Ordering::SeqCst);
            "Cancelled"
        }
        () = sleep(MAX_CANCEL_WAIT) => "Nobody cancelled",
    }
}
