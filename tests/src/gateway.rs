//! A gateway in this process, on a free port of this machine.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mcp_orchestrator_core::Orchestrator;
use mcp_orchestrator_core::auth::{Authenticated, Authenticator, Principal};
use mcp_orchestrator_core::credential::CredentialRule;
use mcp_orchestrator_core::id::{Alias, BackendName, GatewayId, PrincipalId, ServerId};
use mcp_orchestrator_core::orchestrator::Limits;
use mcp_orchestrator_core::router::{
    GatewaySpec, Members, TableRouter, ToolFilter, ToolNames, ToolOverrides, ViewEntry,
};
use mcp_orchestrator_core::runtime::{BackendSet, LogBook, ProcessBackend, RemoteBackend};
use mcp_orchestrator_core::seal::StateKey;
use mcp_orchestrator_core::server::ServerSpec;
use mcp_orchestrator_core::state::{FileState, StateStore};
use mcp_orchestrator_gateway::{ConnectionLimits, Endpoint, Options, Routes, Shutdown, serve};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::client::{Client, Session};

/// Authenticates callers by the header `x-user`.
#[derive(Debug)]
struct ByHeader;

#[async_trait::async_trait]
impl Authenticator for ByHeader {
    async fn authenticate(
        &self,
        parts: &http::request::Parts,
    ) -> mcp_orchestrator_core::Result<Option<Authenticated>> {
        let name = parts
            .headers
            .get("x-user")
            .and_then(|value| value.to_str().ok());
        let id = name.and_then(|name| PrincipalId::new(name).ok());
        Ok(id.map(|id| Authenticated::new(Arc::new(Principal::user(id, "header")))))
    }
}

/// The configuration of a gateway to run.
#[derive(Debug)]
pub struct Builder {
    servers: Vec<ServerSpec>,
    hidden: Vec<(String, ToolFilter)>,
    changed: Vec<(String, ToolOverrides)>,
    names: ToolNames,
    single_principal: bool,
    session_idle: Duration,
    input_wait: Option<Duration>,
    options: Options,
    connections: ConnectionLimits,
    authenticator: Arc<dyn Authenticator>,
    limits: Limits,
    state: Option<(Arc<dyn StateStore>, Arc<StateKey>)>,
}

/// A running gateway. Dropping it ends everything immediately.
#[derive(Debug)]
pub struct Gateway {
    /// The address that it listens on.
    pub address: SocketAddr,
    /// Its orchestrator.
    pub orchestrator: Orchestrator,
    /// Its router.
    pub router: Arc<TableRouter>,
    names: ToolNames,
    stop: CancellationToken,
    serving: JoinSet<()>,
    _directory: TempDir,
}

/// Returns a server id.
///
/// # Panics
/// If the name is invalid.
pub fn server_id(name: &str) -> ServerId {
    ServerId::new(name).expect("a name for a server")
}

fn entries(
    servers: &[ServerSpec],
    hidden: &[(String, ToolFilter)],
    changed: &[(String, ToolOverrides)],
) -> Vec<ViewEntry> {
    let entry = |server: &ServerSpec| ViewEntry {
        alias: Alias::new(server.id.as_str()).expect("a server's name is an alias"),
        server: server.id.clone(),
        credential: CredentialRule::None,
        tools: hidden
            .iter()
            .find(|(name, _)| name == server.id.as_str())
            .map(|(_, filter)| filter.clone())
            .unwrap_or_default(),
        overrides: changed
            .iter()
            .find(|(name, _)| name == server.id.as_str())
            .map(|(_, overrides)| overrides.clone())
            .unwrap_or_default(),
    };
    servers.iter().map(entry).collect()
}

impl Gateway {
    /// Creates a configuration without servers.
    #[expect(
        clippy::new_ret_no_self,
        reason = "a test reads: Gateway::new().server(..).run()"
    )]
    pub fn new() -> Builder {
        Builder {
            servers: Vec::new(),
            hidden: Vec::new(),
            changed: Vec::new(),
            names: ToolNames::Auto,
            single_principal: false,
            session_idle: Duration::from_hours(1),
            input_wait: None,
            options: Options::default(),
            connections: ConnectionLimits::default(),
            authenticator: Arc::new(ByHeader),
            limits: Limits::default(),
            state: None,
        }
    }

    /// Creates a client for this user.
    pub fn client(&self, user: &str) -> Client {
        Client::new(self.address, user)
    }

    /// Opens a legacy session of `ann`.
    pub async fn session(&self) -> Session {
        self.client("ann").session().await
    }

    /// Replaces the servers.
    pub fn apply(&self, servers: Vec<ServerSpec>) {
        let spec = GatewaySpec {
            id: GatewayId::default_gateway(),
            members: Members::Everybody,
            names: self.names,
            entries: entries(&servers, &[], &[]),
        };
        self.router.replace([spec]);
        self.orchestrator.apply(servers.into_iter().map(Arc::new));
    }

    /// Returns the process ids of the running instances.
    pub async fn pids(&self) -> Vec<u32> {
        let instances = self.orchestrator.instances().await;
        let pids = instances
            .iter()
            .flat_map(|info| &info.place)
            .filter(|(name, _)| name == "pid")
            .filter_map(|(_, value)| value.parse().ok());
        pids.collect()
    }

    /// Returns `true` if an instance of the server that has served a call can still be called.
    pub async fn serves(&self, server: &str) -> bool {
        let instances = self.orchestrator.instances().await;
        instances
            .iter()
            .any(|info| info.server == server && info.served > 0)
    }

    /// Shuts it down like a program, and waits until it has stopped.
    pub async fn stop(mut self, grace: Duration) {
        self.orchestrator.drain();
        self.stop.cancel();
        while self.serving.join_next().await.is_some() {}
        self.orchestrator.shutdown(grace).await;
    }
}

impl Builder {
    /// Adds a server.
    #[must_use]
    pub fn server(mut self, spec: ServerSpec) -> Self {
        self.servers.push(spec);
        self
    }

    /// Shows only some tools of a server.
    #[must_use]
    pub fn filter(mut self, server: &str, filter: ToolFilter) -> Self {
        self.hidden.push((server.to_owned(), filter));
        self
    }

    /// Changes tools of a server.
    #[must_use]
    pub fn overrides(mut self, server: &str, overrides: ToolOverrides) -> Self {
        self.changed.push((server.to_owned(), overrides));
        self
    }

    /// Sets the form of tool names.
    #[must_use]
    pub fn names(mut self, names: ToolNames) -> Self {
        self.names = names;
        self
    }

    /// Treats all callers as one person.
    #[must_use]
    pub fn single_principal(mut self) -> Self {
        self.single_principal = true;
        self
    }

    /// Sets the idle timeout of sessions.
    #[must_use]
    pub fn session_idle(mut self, idle: Duration) -> Self {
        self.session_idle = idle;
        self
    }

    /// Sets how long a call waits for its client's answers.
    #[must_use]
    pub fn input_wait(mut self, wait: Duration) -> Self {
        self.input_wait = Some(wait);
        self
    }

    /// Authenticates callers with this authenticator instead of the header `x-user`.
    #[must_use]
    pub fn known_by(mut self, authenticator: Arc<dyn Authenticator>) -> Self {
        self.authenticator = authenticator;
        self
    }

    /// Sets the limits on calls and instances.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Changes the options of the endpoint.
    #[must_use]
    pub fn options(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(&mut self.options);
        self
    }

    /// Changes the connection limits.
    #[must_use]
    pub fn connections(mut self, change: impl FnOnce(&mut ConnectionLimits)) -> Self {
        change(&mut self.connections);
        self
    }

    /// Keeps the list cache in this folder.
    ///
    /// # Panics
    /// If the folder cannot be used.
    #[must_use]
    pub fn state(mut self, folder: &Path) -> Self {
        let state: Arc<dyn StateStore> =
            Arc::new(FileState::open(folder).expect("a folder for the state"));
        self.state = Some((state, Arc::new(StateKey::new([7; 32]))));
        self
    }

    /// Runs it.
    ///
    /// # Panics
    /// If it cannot listen.
    pub async fn run(self) -> Gateway {
        let directory = tempfile::tempdir().expect("a folder of our own");
        let logs = LogBook::default();
        let process = ProcessBackend::with_log_book(directory.path(), logs.clone());
        let backends = BackendSet::new()
            .with_programs(
                BackendName::new("process").expect("a name"),
                Arc::new(process),
            )
            .with_remote(Arc::new(RemoteBackend::default()));
        let table = Arc::new(TableRouter::new([GatewaySpec {
            id: GatewayId::default_gateway(),
            members: Members::Everybody,
            names: self.names,
            entries: entries(&self.servers, &self.hidden, &self.changed),
        }]));
        let mut builder =
            Orchestrator::builder(Arc::new(backends), Arc::<TableRouter>::clone(&table))
                .logs(logs)
                .session_idle(self.session_idle)
                .input_wait(self.input_wait)
                .limits(self.limits)
                .single_principal(self.single_principal);
        if let Some((state, key)) = self.state {
            builder = builder.state(state).state_key(key);
        }
        let orchestrator = builder.build();
        orchestrator.apply(self.servers.into_iter().map(Arc::new));
        let endpoint = Endpoint::new(orchestrator.clone(), [self.authenticator], self.options)
            .expect("there is an authenticator");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let (stop, mut serving) = (CancellationToken::new(), JoinSet::new());
        let when = stop.clone().cancelled_owned();
        serving.spawn(serve(
            listener,
            Routes::from(endpoint).limited(self.connections),
            Shutdown {
                when,
                grace: Duration::from_secs(20),
            },
        ));
        Gateway {
            address,
            orchestrator,
            router: table,
            names: self.names,
            stop,
            serving,
            _directory: directory,
        }
    }
}
