//! Renders the objects of an instance from a server and its key, without access to a cluster.
//!
//! Objects are JSON: Kubernetes structures in the spec are passed on as they are, and the API server validates
//! everything strictly, so that an unknown field is an error instead of being ignored.

mod deployment;
pub(crate) mod desired_hash;
pub(crate) mod patch;
mod pod;
mod policy;
mod resources;
mod secret;
mod service;
mod typed;
mod volumes;

use serde_json::{Value, json};

use self::patch::Refused;
use self::secret::Values;
use super::kind::Kind;
use super::names;
use super::options::KubernetesOptions;
use crate::error::{Error, ErrorKind};
use crate::id::{ServerId, SlotName};
use crate::runtime::{InstanceKey, LaunchSpec};
use crate::server::{Launch, Program, ProgramTransport, ServerSpec};
use crate::value::Text;

/// The port of an HTTP server that does not specify one.
const DEFAULT_PORT: u16 = 8080;

/// Why a server cannot be rendered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error("it is a remote server, and runs nowhere")]
    Remote,
    #[error("slot `{0}` is required and has no value")]
    NoValue(SlotName),
    #[error("slot `{0}`: `{1}` is no plain file name")]
    FileName(SlotName, String),
    #[error("`egress`: `{0}` is no network; write `10.0.0.0/8` or `10.0.0.0/8:443`")]
    Egress(String),
    #[error("`{key}` is not what Kubernetes calls a {kind}: {error}")]
    Json {
        key: &'static str,
        kind: &'static str,
        error: serde_json::Error,
    },
    #[error("the patch of its pod template was refused: {0}")]
    Patch(#[from] Refused),
}

impl Failed {
    /// Converts to the error that a caller sees.
    pub(crate) fn of(self, server: &ServerId) -> Error {
        let kind = match self {
            Self::Remote => ErrorKind::Unsupported,
            _ => ErrorKind::StartFailed,
        };
        Error::new(kind, "its entry cannot become a pod")
            .with_server(server)
            .with_source(self)
    }
}

/// The inputs from which all objects of an instance are rendered.
pub(crate) struct Rendering<'a> {
    pub(crate) key: &'a InstanceKey,
    pub(crate) launch: &'a LaunchSpec,
    program: &'a Program,
    options: &'a KubernetesOptions,
    /// Whether the gateway runs in the cluster.
    inside: bool,
    /// The owner reference of all objects.
    owner: &'a Value,
    values: Values,
}

/// All objects of an instance.
pub(crate) struct Objects {
    pub(crate) secret: Option<Value>,
    pub(crate) pull: Option<Value>,
    pub(crate) policy: Value,
    pub(crate) service: Option<Value>,
    pub(crate) deployment: Value,
}

impl Objects {
    /// Returns all objects except the Deployment.
    pub(crate) fn dependents(&self) -> impl Iterator<Item = (Kind, &Value)> {
        let secrets = self.secret.iter().chain(&self.pull);
        let secrets = secrets.map(|object| (Kind::Secret, object));
        let service = self.service.iter().map(|object| (Kind::Service, object));
        secrets
            .chain([(Kind::NetworkPolicy, &self.policy)])
            .chain(service)
    }
}

impl<'a> Rendering<'a> {
    pub(crate) fn new(
        key: &'a InstanceKey,
        launch: &'a LaunchSpec,
        options: &'a KubernetesOptions,
        inside: bool,
        owner: &'a Value,
    ) -> Result<Self, Failed> {
        let Launch::Program(program) = &launch.server.launch else {
            return Err(Failed::Remote);
        };
        Ok(Self {
            key,
            launch,
            program,
            options,
            inside,
            owner,
            values: values(&launch.server, &launch.credential)?,
        })
    }

    /// Renders all objects.
    pub(crate) fn objects(&self) -> Result<Objects, Failed> {
        Ok(Objects {
            secret: self.secret(),
            pull: secret::pull(self),
            policy: policy::policy(self)?,
            service: service::service(self),
            deployment: deployment::deployment(self)?,
        })
    }

    /// Renders only the Secret.
    pub(crate) fn secret(&self) -> Option<Value> {
        secret::secret(self)
    }

    /// Returns a keyed hash of all secret values.
    pub(crate) fn values_digest(&self) -> String {
        self.values.digest(&self.options.state_key)
    }

    /// Returns the port that the server listens on, if it uses HTTP.
    pub(crate) fn port(&self) -> Option<u16> {
        port_of(&self.launch.server)
    }

    fn metadata(&self, name: &str) -> Value {
        json!({
            "name": name,
            "labels": names::labels(self.key, &self.options.orchestrator),
            "annotations": { names::KEY: self.key.to_text() },
            "ownerReferences": [self.owner],
        })
    }
}

/// Returns all secret values of a server with this credential.
pub(crate) fn values(
    server: &ServerSpec,
    credential: &crate::credential::Credential,
) -> Result<Values, Failed> {
    let args = match &server.launch {
        Launch::Program(program) => args(program),
        Launch::Remote(_) => &[],
    };
    Values::new(server, credential, args, port_of(server))
}

/// Returns the arguments of a program: those of its command, or those passed to the image's own command.
fn args(program: &Program) -> &[Text] {
    match &program.command {
        Some(command) => &command.args,
        None => &program.args,
    }
}

/// Returns the port that a program listens on, if it uses HTTP.
pub(crate) fn port_of(server: &ServerSpec) -> Option<u16> {
    match &server.launch {
        Launch::Program(program) => match program.transport {
            ProgramTransport::Http { port, .. } => Some(port.unwrap_or(DEFAULT_PORT)),
            ProgramTransport::Stdio => None,
        },
        Launch::Remote(_) => None,
    }
}

/// Substitutes `${PORT}`.
fn with_port(text: &str, port: Option<u16>) -> String {
    match port {
        Some(port) => text.replace("${PORT}", &port.to_string()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
