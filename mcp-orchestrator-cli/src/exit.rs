//! Exit codes, as documented in docs/cli.md, and the messages that accompany them.

use std::fmt::Display;
use std::process::ExitCode;

use mcp_orchestrator_core::Error;
use mcp_orchestrator_gateway::control::ClientError;
use mcp_orchestrator_gateway::control::wire::Refusal;
use mcp_orchestrator_gateway::program;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::printable::clean;

/// An exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Success.
    Done = 0,
    /// The command failed.
    Failed = 1,
    /// The arguments or the configuration are invalid.
    Usage = 2,
    /// No gateway is running.
    NotRunning = 3,
    /// The result of the tool is an error.
    ToolError = 4,
    /// Interrupted from the terminal.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Message for the user: what failed and what to do next. Not printed if empty. Cleaned when it is printed.
    pub(crate) message: String,
    pub(crate) exit: Exit,
    /// Set if the command named something unknown, which may be a typing error.
    pub(crate) is_about_a_name: bool,
}

impl Failure {
    pub(crate) fn failed(message: impl Display) -> Self {
        Self::new(message, Exit::Failed)
    }

    pub(crate) fn usage(message: impl Display) -> Self {
        Self::new(message, Exit::Usage)
    }

    /// Prepends a text to the message.
    pub(crate) fn about(mut self, text: &str) -> Self {
        self.message = format!("{text}: {}", self.message);
        self
    }

    /// Appends a text to the message.
    pub(crate) fn with(mut self, text: &str) -> Self {
        self.message.push_str(text);
        self
    }

    /// The failure after Ctrl-C.
    pub(crate) fn interrupted() -> Self {
        Self::new("interrupted", Exit::Interrupted)
    }

    pub(crate) fn new(message: impl Display, exit: Exit) -> Self {
        let message = message.to_string();
        Self {
            message,
            exit,
            is_about_a_name: false,
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        // Indent the further lines of a server's text, so that none can pass for a line of this program.
        let lines: Vec<String> = refusal.message.lines().map(clean).collect();
        let mut message = lines.join("\n  ");
        let last = refusal.data.as_deref().and_then(last_lines);
        if let Some(last) = &last {
            message.truncate(without_logs(&message).len());
            message.push_str("\n  last output:");
            for line in last.lines() {
                message.push_str(&format!("\n  | {}", clean(line)));
            }
        }
        if let Some(hint) = hint(&refusal, last.is_some()) {
            message.push_str(&format!("\n  {hint}"));
        }
        let exit = if refusal.kind == "config" {
            Exit::Usage
        } else {
            Exit::Failed
        };
        Self {
            message,
            exit,
            is_about_a_name: refusal.kind == "no_route",
        }
    }
}

/// Returns an error without its advice to look at the log, for commands that show the output themselves.
pub(crate) fn without_logs(text: &str) -> &str {
    let end = text.find("`mcp-orchestrator logs ");
    end.map_or(text, |end| text[..end].trim_end_matches([' ', ',', ';']))
}

/// Returns the last output of an instance that ended.
fn last_lines(data: &RawValue) -> Option<String> {
    let data: Value = serde_json::from_str(data.get()).ok()?;
    let text = match &data["stderr"] {
        Value::Array(lines) => {
            let lines: Vec<&str> = lines.iter().filter_map(Value::as_str).collect();
            lines.join("\n")
        }
        other => other.as_str()?.to_owned(),
    };
    (!text.is_empty()).then_some(text)
}

/// Returns a hint about what to do next.
fn hint(refusal: &Refusal, told: bool) -> Option<String> {
    let hint = match refusal.kind.as_str() {
        "no_route" if refusal.message.contains("is not configured") => {
            "`mcp-orchestrator ps` shows the servers that are".to_owned()
        }
        "no_route" if refusal.message.contains("has run yet") => "a call starts one".to_owned(),
        "unavailable" if !told => {
            let server = refusal.server.as_deref()?;
            format!("`mcp-orchestrator logs {server}` may show why")
        }
        "credential_missing" if !refusal.message.contains("mcp-orchestrator install") => {
            let server = refusal.server.as_deref()?;
            format!("run `mcp-orchestrator install {server}`")
        }
        _ => return None,
    };
    Some(hint)
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Refusal::from(error).into()
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(refusal) => refusal.into(),
            ClientError::NotRunning(_) => Self::new(
                format!("{error}\n  start one with `mcp-orchestrator up`"),
                Exit::NotRunning,
            ),
            ClientError::Broken(_) => Self::failed(error),
        }
    }
}

impl From<program::Failure> for Failure {
    fn from(failure: program::Failure) -> Self {
        let exit = if failure.code == Exit::Usage as u8 {
            Exit::Usage
        } else {
            Exit::Failed
        };
        Self::new(failure.message, exit)
    }
}
