//! An orchestrator with people, teams, gateways and credentials, in front of servers in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderMap;
use mcp_orchestrator_core::audit::{Audit, AuditEvent, AuditSink};
use mcp_orchestrator_core::auth::{AccessRevision, Directory, People, Principal, Team};
use mcp_orchestrator_core::call::{Call, CallEra, Listen, Reply};
use mcp_orchestrator_core::credential::{
    CredentialResolver, CredentialRule, Generation, InstallationKey, Installations,
    InstalledResolver, Links, MemoryCredentials, Owner, Precondition, Revision, StoredCredential,
};
use mcp_orchestrator_core::id::{Alias, GatewayId, PrincipalId, ServerId, SlotName, TeamId};
use mcp_orchestrator_core::jsonrpc::Message;
use mcp_orchestrator_core::orchestrator::Limits;
use mcp_orchestrator_core::router::{
    GatewaySpec, Members, TableRouter, ToolFilter, ToolNames, ToolOverrides, ViewEntry,
};
use mcp_orchestrator_core::runtime::MemoryBackend;
use mcp_orchestrator_core::server::{CredentialSlot, Injection, Isolation, ServerSpec, SlotForm};
use mcp_orchestrator_core::{Orchestrator, Result};
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use crate::authority::mind::InstanceMessages;
pub(crate) use crate::authority::session::{Session, drain, next};
use crate::authority::session::{request, value};
use crate::authority::wait::within;

/// Records the events of the audit log.
#[derive(Debug, Default)]
pub(crate) struct Lines(parking_lot::Mutex<Vec<AuditEvent>>);

impl AuditSink for Lines {
    fn record(&self, event: &AuditEvent) {
        self.0.lock().push(event.clone());
    }
}

impl Lines {
    /// Returns the action and the outcome of each event.
    pub(crate) fn told(&self) -> Vec<(String, String)> {
        let events = self.0.lock();
        let word = |event: &AuditEvent| {
            let (action, outcome) = (event.action.as_str(), event.outcome.as_str());
            (action.to_owned(), outcome.to_owned())
        };
        events.iter().map(word).collect()
    }
}

pub(crate) struct Site {
    pub(crate) mind: Arc<InstanceMessages>,
    pub(crate) orchestrator: Orchestrator,
    pub(crate) router: Arc<TableRouter>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) resolver: Arc<InstalledResolver>,
    pub(crate) audit: Arc<Lines>,
    /// Advanced when an admission may have been revoked.
    pub(crate) revision: AccessRevision,
    _tasks: TaskTracker,
}

pub(crate) fn user(name: &str) -> PrincipalId {
    PrincipalId::new(name).unwrap()
}

pub(crate) fn team(name: &str) -> TeamId {
    TeamId::new(name).unwrap()
}

pub(crate) fn server_id(name: &str) -> ServerId {
    ServerId::new(name).unwrap()
}

pub(crate) fn gateway_id(name: &str) -> GatewayId {
    GatewayId::new(name).unwrap()
}

/// Creates a server that requires a credential, or none.
pub(crate) fn server(name: &str, isolation: Isolation, slots: bool) -> ServerSpec {
    let mut spec = ServerSpec::command(server_id(name), "in-memory", Vec::<String>::new());
    spec.isolation = isolation;
    if slots {
        spec.slots.push(CredentialSlot {
            name: SlotName::new("token").unwrap(),
            description: None,
            required: true,
            inject: Injection::Env("TOKEN".into()),
            form: SlotForm::default(),
        });
    }
    spec
}

/// Creates the entry of a server in a gateway.
pub(crate) fn entry(name: &str, rule: CredentialRule, tools: ToolFilter) -> ViewEntry {
    ViewEntry {
        alias: Alias::new(name).unwrap(),
        server: server_id(name),
        credential: rule,
        tools,
        overrides: ToolOverrides::default(),
    }
}

/// Creates a filter that hides one tool.
pub(crate) fn hiding(tool: &str) -> ToolFilter {
    ToolFilter::Some {
        show: Vec::new(),
        hide: vec![tool.to_owned()],
        only: Vec::new(),
    }
}

/// Creates a gateway for these users and teams.
pub(crate) fn gateway(
    name: &str,
    users: &[&str],
    teams: &[&str],
    entries: Vec<ViewEntry>,
) -> GatewaySpec {
    GatewaySpec {
        id: gateway_id(name),
        members: Members::These {
            users: users.iter().map(|name| user(name)).collect(),
            teams: teams.iter().map(|name| team(name)).collect(),
        },
        names: ToolNames::Prefixed,
        entries,
    }
}

impl Site {
    pub(crate) async fn new(servers: Vec<ServerSpec>, limits: Limits) -> Self {
        Self::resolved_by(servers, limits, |installed| installed).await
    }

    /// Creates a site whose orchestrator asks another resolver, which `wrap` makes of that for installations.
    pub(crate) async fn resolved_by(
        servers: Vec<ServerSpec>,
        limits: Limits,
        wrap: impl FnOnce(Arc<InstalledResolver>) -> Arc<dyn CredentialResolver>,
    ) -> Self {
        let mind = Arc::new(InstanceMessages::default());
        let serving = Arc::clone(&mind);
        let backend = MemoryBackend::new(move |key, _launch, pipe| {
            Arc::clone(&serving).serve(key.clone(), pipe)
        });
        let tasks = TaskTracker::new();
        let installations = Installations::new(Arc::new(MemoryCredentials::new()));
        let resolver = InstalledResolver::open(installations, &tasks)
            .await
            .unwrap();
        let (router, directory) = (
            Arc::new(TableRouter::default()),
            Arc::<Directory>::default(),
        );
        let links = Links::new(Arc::new(MemoryCredentials::new()), Arc::clone(&directory));
        links.serve_at("http://127.0.0.1:1");
        let audit = Arc::new(Lines::default());
        let sink: Arc<dyn AuditSink> = Arc::<Lines>::clone(&audit);
        let orchestrator =
            Orchestrator::builder(Arc::new(backend), Arc::<TableRouter>::clone(&router))
                .resolver(wrap(Arc::clone(&resolver)))
                .directory(Arc::clone(&directory))
                .limits(limits)
                .links(Arc::new(links))
                .audit(Audit::new([sink]))
                .build();
        orchestrator.apply(servers.into_iter().map(Arc::new));
        let revision = AccessRevision::default();
        orchestrator.follow(&revision);
        Self {
            mind,
            orchestrator,
            router,
            directory,
            resolver,
            audit,
            revision,
            _tasks: tasks,
        }
    }

    /// Replaces the gateways.
    pub(crate) fn gateways(&self, gateways: impl IntoIterator<Item = GatewaySpec>) {
        self.router.replace(gateways);
        self.orchestrator.recheck();
    }

    /// Replaces the teams.
    pub(crate) fn teams(&self, teams: &[(&str, &[&str])]) {
        let teams = teams.iter().map(|(name, members)| Team {
            id: team(name),
            members: members.iter().map(|name| user(name)).collect(),
            managers: Vec::new(),
        });
        self.directory.replace(&People {
            teams: teams.collect(),
            admins: Vec::new(),
        });
        self.orchestrator.recheck();
    }

    pub(crate) async fn install(&self, server: &str, owner: &Owner, revision: &str) {
        let stored = StoredCredential {
            revision: Revision::new(revision),
            generation: Generation::default(),
            values: BTreeMap::from([(SlotName::new("token").unwrap(), owner.to_string().into())]),
            settings: BTreeMap::new(),
            expires_at: None,
            renewal: None,
        };
        let key = InstallationKey {
            server: server_id(server),
            owner: owner.clone(),
        };
        let installations = self.resolver.installations();
        installations
            .put(&key, &stored, Precondition::Any)
            .await
            .unwrap();
        self.resolver.seen(&key).await.unwrap();
    }

    pub(crate) async fn uninstall(&self, server: &str, owner: &Owner) {
        let key = InstallationKey {
            server: server_id(server),
            owner: owner.clone(),
        };
        let installations = self.resolver.installations();
        installations.delete(&key, Precondition::Any).await.unwrap();
        self.resolver.seen(&key).await.unwrap();
    }

    /// Returns the principal of a user, with its current teams.
    pub(crate) fn principal(&self, name: &str) -> Arc<Principal> {
        self.directory
            .complete(Arc::new(Principal::user(user(name), "test")))
    }

    /// Opens a session of a client that supports elicitation and roots.
    pub(crate) async fn session(&self, name: &str, gateway: &str) -> Result<Session<'_>> {
        let able = json!({ "elicitation": {}, "roots": {} });
        self.session_with(name, gateway, &able).await
    }

    /// Opens a session of a client with these capabilities.
    pub(crate) async fn session_with(
        &self,
        name: &str,
        gateway: &str,
        able: &Value,
    ) -> Result<Session<'_>> {
        let params = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": able,
            "clientInfo": { "name": name, "version": "1" },
        });
        let reply = self
            .orchestrator
            .call(Call {
                era: CallEra::Legacy(None),
                ..self.call(name, gateway, request(0, "initialize", &params))
            })
            .await?;
        let id = reply.session.unwrap();
        Ok(Session {
            site: self,
            name: name.to_owned(),
            gateway: gateway.to_owned(),
            id,
        })
    }

    pub(crate) fn call(&self, name: &str, gateway: &str, message: Message) -> Call {
        Call {
            principal: self.principal(name),
            gateway: gateway_id(gateway),
            era: CallEra::Modern,
            message,
            headers: HeaderMap::new(),
            token: None,
        }
    }

    /// Calls a tool as a modern client.
    pub(crate) async fn modern(
        &self,
        name: &str,
        gateway: &str,
        tool: &str,
        meta: &Value,
    ) -> Result<Value> {
        let params = json!({ "name": tool, "arguments": {}, "_meta": meta });
        let call = self.call(name, gateway, request(1, "tools/call", &params));
        let reply = within("a reply", self.orchestrator.call(call)).await?;
        Ok(value(&within("a response", reply.response()).await?))
    }

    /// Opens a modern stream of subscriptions.
    pub(crate) fn listen(
        &self,
        name: &str,
        gateway: &str,
        wants: &Value,
    ) -> impl Future<Output = Result<Reply>> + use<> {
        let params = json!({ "notifications": wants });
        let listen = Listen {
            principal: self.principal(name),
            gateway: gateway_id(gateway),
            session: None,
            resume: None,
            request: Some(request(1, "subscriptions/listen", &params)),
        };
        let orchestrator = self.orchestrator.clone();
        async move { orchestrator.listen(listen).await }
    }
}
