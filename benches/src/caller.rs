//! Legacy sessions with an orchestrator in this process.

use std::sync::Arc;

use bytes::Bytes;
use mcp_orchestrator_core::auth::Principal;
use mcp_orchestrator_core::call::{Call, CallEra};
use mcp_orchestrator_core::credential::CredentialRule;
use mcp_orchestrator_core::id::{Alias, GatewayId, PrincipalId, SessionId};
use mcp_orchestrator_core::jsonrpc::Message;
use mcp_orchestrator_core::router::{
    GatewaySpec, Members, TableRouter, ToolFilter, ToolNames, ToolOverrides, ViewEntry,
};
use mcp_orchestrator_core::runtime::RuntimeBackend;
use mcp_orchestrator_core::server::ServerSpec;
use mcp_orchestrator_core::{Orchestrator, Result};

/// A call of the tool `echo` with 64 bytes.
pub const CALL: &str = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"up__echo\",\
    \"arguments\":{\"message\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}}}";

/// The request that opens a legacy session.
pub const INITIALIZE: &str = "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\
    \"2025-11-25\",\"capabilities\":{},\"clientInfo\":{\"name\":\"bench\",\"version\":\"1\"}}}";

/// Creates an orchestrator with this one server, shown as `up` under prefixed names.
pub fn orchestrator(backend: Arc<dyn RuntimeBackend>, server: ServerSpec) -> Orchestrator {
    let entry = ViewEntry {
        alias: Alias::from(&server.id),
        server: server.id.clone(),
        credential: CredentialRule::None,
        tools: ToolFilter::All,
        overrides: ToolOverrides::default(),
    };
    let gateway = GatewaySpec {
        id: GatewayId::default_gateway(),
        members: Members::Everybody,
        names: ToolNames::Prefixed,
        entries: vec![entry],
    };
    let router = Arc::new(TableRouter::new([gateway]));
    let orchestrator = Orchestrator::builder(backend, router).build();
    orchestrator.apply([Arc::new(server)]);
    orchestrator
}

/// One legacy session.
#[derive(Debug)]
pub struct Caller {
    orchestrator: Orchestrator,
    principal: Arc<Principal>,
    session: Option<SessionId>,
}

impl Caller {
    /// Opens a session.
    ///
    /// # Errors
    /// Any error of the orchestrator.
    ///
    /// # Panics
    /// Never: `bench` is a valid name.
    pub async fn open(orchestrator: &Orchestrator) -> Result<Self> {
        let user = PrincipalId::new("bench").expect("`bench` is a name");
        let mut caller = Self {
            orchestrator: orchestrator.clone(),
            principal: Arc::new(Principal::user(user, "bench")),
            session: None,
        };
        let call = caller.prepare(INITIALIZE);
        caller.session = caller.orchestrator.call(call).await?.session;
        Ok(caller)
    }

    /// Calls the tool.
    ///
    /// # Errors
    /// Any error of the orchestrator.
    pub async fn call(&self) -> Result<Message> {
        let call = self.prepare(CALL);
        self.orchestrator.call(call).await?.response().await
    }

    fn prepare(&self, text: &'static str) -> Call {
        Call {
            principal: Arc::clone(&self.principal),
            gateway: GatewayId::default_gateway(),
            era: CallEra::Legacy(self.session.clone()),
            message: Message::parse(Bytes::from_static(text.as_bytes()))
                .expect("what is written here is a message"),
            headers: http::HeaderMap::new(),
            token: None,
        }
    }
}
