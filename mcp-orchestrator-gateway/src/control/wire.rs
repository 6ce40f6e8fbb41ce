//! What is said over the control endpoint. Both sides use these types; unknown members are passed over, so that a
//! command line of another version still understands a gateway.

use std::net::SocketAddr;
use std::path::PathBuf;

use mcp_orchestrator_core::Error;
use mcp_orchestrator_core::config::{GatewayConflict, Position, Problem};
pub use mcp_orchestrator_core::orchestrator::{
    Explanation, InstanceInfo, InstanceState, ServerInfo,
};
use mcp_orchestrator_core::runtime::{Description, LogLine, LogSource, Phase};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::time::utc;

/// `GET /v1/status`: that it runs, and how.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The gateway's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where its metrics are.
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
    /// What callers may know who do not administer: nothing of the machine.
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

/// `GET /v1/instances`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Instances {
    /// Every instance, and every server without one.
    pub instances: Vec<InstanceInfo>,
}

/// `GET /v1/describe/{name}`: of a server or an instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Descriptions {
    /// The server, where it is called so and configured.
    #[serde(default)]
    pub server: Option<ServerInfo>,
    /// What is known of each instance, oldest first.
    pub instances: Vec<Described>,
}

/// What is known of one instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Described {
    /// Its server.
    pub server: String,
    /// Its public name.
    pub instance: String,
    /// Whose credential it holds.
    pub owner: String,
    /// How it is.
    pub phase: Phase,
    /// Since when, in UTC.
    pub since: String,
    /// Why it is so.
    pub reason: Option<String>,
    /// What else is known, by name.
    pub details: Vec<(String, String)>,
    /// What happened to it, oldest first.
    pub events: Vec<EventText>,
    /// Lines for a shell: what each does, and the line.
    pub commands: Vec<(String, String)>,
}

/// Something that happened to an instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventText {
    /// When, in UTC.
    pub at: Option<String>,
    /// What.
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

/// `GET /v1/conflicts`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Conflicts {
    /// Every name that several servers of a gateway list, as far as lists are kept.
    pub conflicts: Vec<ConflictInfo>,
}

/// A name that several servers of a gateway list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConflictInfo {
    /// In which gateway.
    pub gateway: String,
    /// The name or URI.
    pub name: String,
    /// The servers' names there; the first one answers.
    pub servers: Vec<String>,
    /// Whether the others cannot be reached by it.
    pub error: bool,
    /// All of it for people.
    pub message: String,
}

impl From<&GatewayConflict> for ConflictInfo {
    fn from(found: &GatewayConflict) -> Self {
        let servers = found.conflict.servers.iter();
        Self {
            gateway: found.gateway.to_string(),
            name: found.conflict.name.clone(),
            servers: servers.map(ToString::to_string).collect(),
            error: found.is_error(),
            message: format!("gateway {}: {}", found.gateway, found.conflict),
        }
    }
}

/// `POST /v1/servers/{server}/restart` and `/stop`: which instances it concerned.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Touched {
    /// Their public names; none: nothing ran.
    pub instances: Vec<String>,
}

/// `POST /v1/servers/{server}/logs`: which lines. They come as NDJSON of [`Line`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LogRequest {
    /// Only the last so many.
    pub tail: Option<usize>,
    /// Go on with each new one.
    pub follow: bool,
    /// Those of the run before.
    pub previous: bool,
    /// Of this instance; absent: of the one that ran last.
    pub instance: Option<String>,
}

/// One line of a log, or why there are no more.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Line {
    /// A line.
    Line(LogText),
    /// It ended by this.
    Error(Refusal),
}

/// One line of a log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogText {
    /// When it was read, in UTC.
    pub at: String,
    /// Where it comes from.
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

/// What comes of a call.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallEvent {
    /// The parameters of a progress notification.
    Progress(Box<RawValue>),
    /// The parameters of a log message.
    Message(Box<RawValue>),
    /// The result.
    Result(Box<RawValue>),
    /// There is no result.
    Error(Refusal),
}

/// `POST /v1/explain`: exactly one of `tool`, `prompt`, `resource`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExplainRequest {
    /// Through which gateway; absent: the default one.
    pub gateway: Option<String>,
    /// For whom; absent: the local user.
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
    /// How many servers are configured now.
    pub servers: usize,
    /// What is worth saying about the configuration.
    pub notices: Vec<ConfigProblem>,
}

/// Something in a configuration file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConfigProblem {
    /// In which file.
    pub file: PathBuf,
    /// On which line, from 1; absent: the file as a whole.
    pub line: Option<usize>,
    /// In which column, from 1.
    pub column: Option<usize>,
    /// At which key.
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

/// Why something was not done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Refusal {
    /// What to decide on, as `no_route` or `start_failed`; `rpc` for an error that the server itself answered.
    pub kind: String,
    /// For people.
    pub message: String,
    /// Which server it concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Whose fault it is: `caller`, `server` or `orchestrator`.
    pub fault: String,
    /// The server's own error code, for `rpc`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
    /// More about it, as the last lines of an instance that ended (`stderr`).
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
    fn a_refusal_says_kind_server_and_fault() {
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
