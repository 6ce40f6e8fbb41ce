//! Runs a single server in this process for one command, if no gateway is running.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use mcp_orchestrator_core::app::Built;
use mcp_orchestrator_core::auth::{LocalAuthenticator, Principal};
use mcp_orchestrator_core::config::BackendKind;
use mcp_orchestrator_core::id::ServerId;
use mcp_orchestrator_core::router::ItemKind;
use mcp_orchestrator_core::server::Launch;
use mcp_orchestrator_gateway::control::wire::{CallEvent, CallRequest};
use mcp_orchestrator_gateway::control::{ClientError, Lines, call_events};
use serde_json::value::RawValue;
use tempfile::TempDir;

use crate::connection::Site;
use crate::exit::Failure;

/// Grace period at the end of the command.
const GRACE: Duration = Duration::from_secs(5);

/// Handles requests to a server.
#[derive(Debug)]
pub(crate) enum Carrier {
    /// The running gateway.
    Running(mcp_orchestrator_gateway::control::Client),
    /// This process.
    Solo(Box<SingleServer>),
}

/// An orchestrator with a single server and a temporary state directory.
#[derive(Debug)]
pub(crate) struct SingleServer {
    built: Built,
    principal: Arc<Principal>,
    /// Deleted on drop.
    _state: TempDir,
}

/// Events of a call.
pub(crate) enum Events {
    Running(Box<Lines<CallEvent>>),
    Solo(Pin<Box<dyn Stream<Item = CallEvent> + Send>>),
}

impl Carrier {
    /// Connects to the gateway if it is running; otherwise starts the server in this process.
    pub(crate) async fn find(site: &Site, server: &str) -> Result<Self, Failure> {
        let client = site.client();
        match client.status().await {
            Ok(_) => Ok(Self::Running(client)),
            Err(ClientError::NotRunning(_)) if !site.files.is_empty() => {
                let solo = SingleServer::start(site, server).await?;
                Ok(Self::Solo(Box::new(solo)))
            }
            Err(error) => site.told(Err(error)),
        }
    }

    /// Returns the server's list of this kind.
    pub(crate) async fn list(
        &self,
        server: &str,
        kind: ItemKind,
    ) -> Result<Vec<Box<RawValue>>, Failure> {
        let client = match self {
            Self::Running(client) => client,
            Self::Solo(solo) => return solo.list(server, kind).await,
        };
        Ok(match kind {
            ItemKind::Tool => client.server_tools(server).await?.tools,
            ItemKind::Prompt => client.server_prompts(server).await?.prompts,
            ItemKind::Resource => client.server_resources(server).await?.resources,
            ItemKind::Template => client.server_resources(server).await?.templates,
        })
    }

    /// Calls a tool of the server.
    pub(crate) async fn call(&self, server: &str, call: CallRequest) -> Result<Events, Failure> {
        match self {
            Self::Running(client) => {
                let lines = client.call(server, &call).await?;
                Ok(Events::Running(Box::new(lines)))
            }
            Self::Solo(solo) => {
                let orchestrator = solo.built.orchestrator().clone();
                let principal = Arc::clone(&solo.principal);
                let events = call_events(orchestrator, principal, id(server)?, call);
                Ok(Events::Solo(Box::pin(events)))
            }
        }
    }

    /// Stops what was started.
    pub(crate) async fn end(self) {
        if let Self::Solo(solo) = self {
            solo.built.orchestrator().shutdown(GRACE).await;
        }
    }
}

impl SingleServer {
    async fn start(site: &Site, server: &str) -> Result<Self, Failure> {
        let mut settings = site.settings()?;
        let known: Vec<String> = settings.servers.iter().map(|s| s.id.to_string()).collect();
        settings.servers.retain(|known| known.id.as_str() == server);
        if settings.servers.is_empty() {
            let hint = crate::suggest::hint(server, known.iter().map(String::as_str));
            let text = format!("server {server} is not configured{hint}");
            return Err(Failure::failed(text));
        }
        let spec = &settings.servers[0];
        let kubernetes = BackendKind::Kubernetes;
        let in_a_pod = matches!(spec.launch, Launch::Program(_))
            && (spec.backend == Some(kubernetes.name())
                || (spec.backend.is_none() && settings.backends.default == kubernetes));
        if in_a_pod {
            // A second gateway would adopt the cluster's instances and delete those it does not know.
            let text = format!("server {server} runs as a pod, for which a gateway must run");
            return Err(site.not_running().about(&text));
        }
        settings.backends.kubernetes = None;
        settings.gateways.clear();
        let state = tempfile::Builder::new()
            .prefix("mcp-orchestrator-")
            .tempdir()
            .map_err(|error| {
                Failure::failed(format!("no folder for the server's state: {error}"))
            })?;
        settings.state_dir = state.path().join("state");
        let built = settings
            .build(true)
            .await
            .map_err(|error| Failure::from(&error))?;
        Ok(Self {
            built,
            principal: Arc::clone(LocalAuthenticator::for_system_user().principal()),
            _state: state,
        })
    }

    async fn list(&self, server: &str, kind: ItemKind) -> Result<Vec<Box<RawValue>>, Failure> {
        let orchestrator = self.built.orchestrator();
        let list = orchestrator
            .server_list(&self.principal, &id(server)?, kind)
            .await;
        let list = list.map_err(|error| Failure::from(&error))?;
        serde_json::from_str(&list).map_err(Failure::failed)
    }
}

impl Events {
    /// Returns the next event.
    pub(crate) async fn next(&mut self) -> Result<Option<CallEvent>, Failure> {
        match self {
            Self::Running(lines) => Ok(lines.next().await?),
            Self::Solo(events) => Ok(events.next().await),
        }
    }
}

fn id(server: &str) -> Result<ServerId, Failure> {
    ServerId::new(server).map_err(Failure::usage)
}
