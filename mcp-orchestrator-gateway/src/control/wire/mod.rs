//! Messages of the control endpoint. Gateway and command line use the same types; unknown members are ignored, so that
//! a command line of another version still understands the gateway.

pub mod credentials;
mod findings;
pub mod lists;
pub mod sign_in;
mod time;

use std::net::SocketAddr;
use std::path::PathBuf;

use mcp_orchestrator_core::Error;
use mcp_orchestrator_core::config::{Position, Problem};
pub use mcp_orchestrator_core::orchestrator::{
    Explanation, InstanceInfo, InstanceState, ServerInfo,
};
use mcp_orchestrator_core::runtime::{Description, LogLine, LogSource, Phase};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use self::findings::{ConflictInfo, Conflicts, ExtensionInfo};
use self::time::utc;

/// `GET /v1/status`: version, process and addresses of the running gateway.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The gateway's version.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// The address that it listens on.
    pub listen: SocketAddr,
    /// The address of its metrics.
    pub metrics_listen: Option<SocketAddr>,
    /// Its state directory.
    pub state_dir: PathBuf,
    /// Its configuration files.
    pub files: Vec<PathBuf>,
    /// The configured servers.
    #[serde(default)]
    pub servers: Vec<String>,
    /// The configured gateways.
    #[serde(default)]
    pub gateways: Vec<GatewayInfo>,
}

impl Status {
    /// Keeps only what callers without admin rights may see: nothing about the machine.
    pub(crate) fn for_users(self) -> Self {
        Self {
            pid: 0,
            metrics_listen: None,
            state_dir: PathBuf::new(),
            files: Vec::new(),
            ..self
        }
    }
}

/// One MCP endpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GatewayInfo {
    /// Its name.
    pub name: String,
    /// Its address.
    pub url: String,
}

/// `GET /v1/instances`, and `GET /v1/instances/checked`, which connects to remote servers first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Instances {
    /// Every instance, and every server without one.
    pub instances: Vec<InstanceInfo>,
}

/// `GET /v1/describe/{name}`, for a server or an instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Descriptions {
    /// The server, if a configured server has this name.
    #[serde(default)]
    pub server: Option<ServerInfo>,
    /// The details of each instance, oldest first.
    pub instances: Vec<Described>,
    /// Extensions of the server that a gateway does not announce.
    #[serde(default)]
    pub extensions: Vec<ExtensionInfo>,
}

/// Details of one instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Described {
    /// Its server.
    pub server: String,
    /// Its public name.
    pub instance: String,
    /// The owner of its credential.
    pub owner: String,
    /// Its current phase.
    pub phase: Phase,
    /// The start of the phase, in UTC.
    pub since: String,
    /// The reason for the phase.
    pub reason: Option<String>,
    /// Further details, by name.
    pub details: Vec<(String, String)>,
    /// Its events, oldest first.
    pub events: Vec<EventText>,
    /// Shell commands: a description, and the command line.
    pub commands: Vec<(String, String)>,
}

/// An event of an instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventText {
    /// The time, in UTC.
    pub at: Option<String>,
    /// The description.
    pub text: String,
}

impl From<Description> for Described {
    fn from(description: Description) -> Self {
        let status = description.status;
        let place = status.place.into_iter();
        let place = place.map(|(name, value)| (name.to_owned(), value));
        let mut details: Vec<(String, String)> = place.collect();
        for (name, value) in description.details {
            if !details.iter().any(|(known, _)| *known == name) {
                details.push((name, value));
            }
        }
        let events = description.events.into_iter().map(|event| EventText {
            at: event.at.map(utc),
            text: event.text,
        });
        Self {
            server: status.key.server().to_string(),
            instance: status.key.name().to_owned(),
            owner: status.key.owner().to_string(),
            phase: status.phase,
            since: utc(status.since),
            reason: status.reason,
            details,
            events: events.collect(),
            commands: description.commands,
        }
    }
}

/// `POST /v1/servers/{server}/restart` and `/stop`: the affected instances.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Touched {
    /// Their public names; empty if nothing was running.
    pub instances: Vec<String>,
}

/// `POST /v1/servers/{server}/logs`: selects lines. The response is NDJSON of [`Line`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LogRequest {
    /// Only the last lines, this many.
    pub tail: Option<usize>,
    /// Whether to continue with new lines.
    pub follow: bool,
    /// Whether to return the lines of the previous run.
    pub previous: bool,
    /// The instance; if absent, the most recent one.
    pub instance: Option<String>,
}

/// One line of a log, or the error that ended it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Line {
    /// A line.
    Line(LogText),
    /// The log ended with this error.
    Error(Refusal),
}

/// One line of a log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogText {
    /// When the line was read, in UTC.
    pub at: String,
    /// The origin of the line.
    pub source: LogSource,
    /// Its text.
    pub text: String,
}

impl From<LogLine> for LogText {
    fn from(line: LogLine) -> Self {
        Self {
            at: utc(line.at),
            source: line.source,
            text: line.text,
        }
    }
}

/// `POST /v1/servers/{server}/call`. The answer is NDJSON of [`CallEvent`], the last one a result or an error.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallRequest {
    /// The tool's own name.
    pub tool: String,
    /// Its arguments, an object.
    pub arguments: Option<Box<RawValue>>,
}

/// An event of a call.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallEvent {
    /// The parameters of a progress notification.
    Progress(Box<RawValue>),
    /// The parameters of a log message.
    Message(Box<RawValue>),
    /// The result.
    Result(Box<RawValue>),
    /// The call failed.
    Error(Refusal),
}

/// `POST /v1/explain`: exactly one of `tool`, `prompt`, `resource`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExplainRequest {
    /// The gateway; if absent, the default one.
    pub gateway: Option<String>,
    /// The principal; if absent, the local user.
    pub principal: Option<String>,
    /// A tool, by the name that the gateway shows.
    pub tool: Option<String>,
    /// A prompt, by the name that the gateway shows.
    pub prompt: Option<String>,
    /// A resource's URI.
    pub resource: Option<String>,
}

/// `POST /v1/reload`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reloaded {
    /// The number of configured servers.
    pub servers: usize,
    /// Notices about the configuration.
    pub notices: Vec<ConfigProblem>,
}

/// A problem in a configuration file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConfigProblem {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; absent for a problem of the whole file.
    pub line: Option<usize>,
    /// The column, from 1.
    pub column: Option<usize>,
    /// The configuration key.
    pub key: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl From<&Problem> for ConfigProblem {
    fn from(problem: &Problem) -> Self {
        let Position { line, column } = problem.position.unwrap_or(Position { line: 0, column: 0 });
        let known = problem.position.is_some();
        Self {
            file: problem.file.to_path_buf(),
            line: known.then_some(line),
            column: known.then_some(column),
            key: problem.key.clone(),
            message: problem.message.clone(),
        }
    }
}

/// Why a request failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Refusal {
    /// The error kind for programs, such as `no_route` or `start_failed`; `rpc` for an error that the server itself
    /// returned.
    pub kind: String,
    /// The message for people.
    pub message: String,
    /// The server that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The party at fault: `caller`, `server` or `orchestrator`.
    pub fault: String,
    /// The server's own error code, for `rpc`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
    /// Additional data, such as the last lines of an instance that ended (`stderr`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Box<RawValue>>,
}

impl From<&Error> for Refusal {
    fn from(error: &Error) -> Self {
        Self {
            kind: error.kind().word(),
            message: error.to_string(),
            server: error.server().map(ToString::to_string),
            fault: error.fault().as_str().to_owned(),
            code: None,
            data: error.data().map(ToOwned::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_response_names_kind_server_and_fault() {
        let server = mcp_orchestrator_core::id::ServerId::new("git").unwrap();
        let error = Error::new(mcp_orchestrator_core::ErrorKind::StartFailed, "it ended")
            .with_server(&server);
        let refusal = serde_json::to_value(Refusal::from(&error)).unwrap();
        let expected = serde_json::json!({
            "kind": "start_failed", "message": "it ended", "server": "git", "fault": "server"
        });
        assert_eq!(refusal, expected);
    }

    #[test]
    fn events_keep_numbers_as_they_came() {
        let line = r#"{"result":{"n":123456789012345678901234567890}}"#;
        let event: CallEvent = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_string(&event).unwrap(), line);
    }
}
