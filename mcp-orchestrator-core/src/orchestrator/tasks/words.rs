//! Reads task ids, declarations and states from messages.

use super::seal::Makes;
use crate::call::{Reply, own};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ServerId;
use crate::jsonrpc::{Members, Message, response};
use crate::orchestrator::context::Context;
use crate::protocol::{Era, meta, method};

/// The raw JSON task ids of a message body, by position.
#[derive(Debug, Default)]
pub(super) struct Ids<'a> {
    /// The `taskId` of the body itself.
    pub(super) top: Option<&'a str>,
    /// The `taskId` of its `task` member.
    pub(super) task: Option<&'a str>,
    /// The `taskId` of the related task in its `_meta`.
    pub(super) related: Option<&'a str>,
    body: &'a str,
}

impl<'a> Ids<'a> {
    pub(super) fn read(body: &'a str) -> Self {
        let top = Members::read(body).unwrap_or_default();
        let related = top.get("_meta").and_then(Members::read);
        let related = related.and_then(|meta| meta.get(meta::RELATED_TASK));
        let id = |object: Option<&'a str>| Members::read(object?)?.get("taskId");
        Self {
            top: top.get("taskId"),
            task: id(top.get("task")),
            related: id(related),
            body,
        }
    }

    /// Returns the id of the task that a result creates, with the members of the object that holds it.
    pub(super) fn made(&self, makes: Makes) -> Option<(&'a str, Members<'a>)> {
        let members = Members::read(self.body)?;
        let within = || Some((self.task?, Members::read(members.get("task")?)?));
        match makes {
            Makes::Nothing => None,
            Makes::Asked => within(),
            Makes::Says if members.get("resultType") != Some("\"task\"") => None,
            Makes::Says => within().or_else(|| Some((self.top?, Members::read(self.body)?))),
        }
    }
}

/// Returns `true` if a modern request declares the tasks extension.
pub(super) fn declares_tasks(message: &Message) -> bool {
    let params = message.body().and_then(Members::read).unwrap_or_default();
    let found = params.get("_meta").and_then(Members::read);
    let found = found
        .as_ref()
        .and_then(|meta| meta.get(meta::CLIENT_CAPABILITIES));
    let found = found.and_then(Members::read);
    let found = found
        .as_ref()
        .and_then(|all| all.get("extensions"))
        .and_then(Members::read);
    found.is_some_and(|extensions| extensions.get(meta::TASKS_EXTENSION).is_some())
}

pub(super) fn no_tasks() -> Error {
    let wanted = serde_json::json!({
        "requiredCapabilities": { "extensions": { meta::TASKS_EXTENSION: {} } }
    });
    Error::new(
        ErrorKind::MissingCapability,
        "the client does not declare the tasks extension",
    )
    .with_data(crate::jsonrpc::raw(&wanted))
}

pub(super) fn is_end(status: &str) -> bool {
    matches!(status, "completed" | "failed" | "cancelled")
}

/// Builds the answer for a task after its instance is gone.
pub(super) fn gone(
    context: &Context,
    message: &Message,
    id: &str,
    server: &ServerId,
) -> Result<Reply> {
    let reason = format!(
        "the instance of server {} that ran this task is gone",
        server
    );
    if message.method() == method::TASKS_RESULT {
        return Err(Error::new(ErrorKind::Unavailable, reason).with_server(server));
    }
    let now = crate::time::utc(std::time::SystemTime::now());
    let mut result = serde_json::json!({
        "taskId": id,
        "status": "failed",
        "statusMessage": reason,
        "createdAt": now,
        "lastUpdatedAt": now,
        "ttl": null,
    });
    if context.era() == Era::Modern {
        result["resultType"] = "complete".into();
        result["ttlMs"] = serde_json::Value::Null;
        result["error"] =
            serde_json::json!({ "code": crate::protocol::code::INTERNAL, "message": reason });
        result.as_object_mut().map(|members| members.remove("ttl"));
    }
    Ok(Reply::ready(own(response(
        message.id().unwrap_or("null"),
        &result.to_string(),
    ))))
}
