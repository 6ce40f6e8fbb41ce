//! Reads task ids, declarations and states from messages.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::call::{Reply, own};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ServerId;
use crate::jsonrpc::{Members, Message, response};
use crate::orchestrator::state::context::Context;
use crate::protocol::{Era, meta, method};

/// Created once: building a finder costs more than searching a short request.
static TASK: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new("\"task\""));

/// Which results of a request create a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskCreation {
    /// No result does.
    Nothing,
    /// Results with a `task` member: the legacy client asked for a task.
    Asked,
    /// Results with the result type `task`: a modern server decides itself.
    Says,
}

impl TaskCreation {
    /// Returns which results of this request create a task.
    pub(crate) fn of(era: Era, request: &Message) -> Self {
        if era == Era::Modern {
            return Self::Says;
        }
        // Most requests do not ask for a task; the substring search detects that without parsing them.
        let asks = TASK.find(request.bytes()).is_some()
            && request
                .body()
                .and_then(Members::read)
                .is_some_and(|params| params.get("task").is_some());
        if asks { Self::Asked } else { Self::Nothing }
    }
}

/// The raw JSON task ids of a message body, by position.
#[derive(Debug, Default)]
pub(crate) struct Ids<'a> {
    /// The `taskId` of the body itself.
    pub(crate) top: Option<&'a str>,
    /// The `taskId` of its `task` member.
    pub(crate) task: Option<&'a str>,
    /// The `taskId` of the related task in its `_meta`.
    pub(crate) related: Option<&'a str>,
    body: &'a str,
}

impl<'a> Ids<'a> {
    pub(crate) fn read(body: &'a str) -> Self {
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
    pub(crate) fn made(&self, makes: TaskCreation) -> Option<(&'a str, Members<'a>)> {
        let members = Members::read(self.body)?;
        let within = || Some((self.task?, Members::read(members.get("task")?)?));
        match makes {
            TaskCreation::Nothing => None,
            TaskCreation::Asked => within(),
            TaskCreation::Says if members.get("resultType") != Some("\"task\"") => None,
            TaskCreation::Says => within().or_else(|| Some((self.top?, Members::read(self.body)?))),
        }
    }
}

/// Returns `true` if a modern request declares the tasks extension.
pub(crate) fn declares_tasks(message: &Message) -> bool {
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

pub(crate) fn no_tasks() -> Error {
    let wanted = serde_json::json!({
        "requiredCapabilities": { "extensions": { meta::TASKS_EXTENSION: {} } }
    });
    Error::new(
        ErrorKind::MissingCapability,
        "the client does not declare the tasks extension",
    )
    .with_data(crate::jsonrpc::raw(&wanted))
}

pub(crate) fn is_end(status: &str) -> bool {
    matches!(status, "completed" | "failed" | "cancelled")
}

/// Builds the answer for a task after its instance is gone.
pub(crate) fn gone(
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
