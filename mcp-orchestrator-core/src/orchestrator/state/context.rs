//! The caller, gateway and era of a call, for every step of its path.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use secrecy::SecretString;
use tokio::time::Instant;

use super::audit_trail::Trail;
use crate::auth::{Grant, Principal};
use crate::credential::Credential;
use crate::id::GatewayId;
use crate::metrics::GatewaySeries;
use crate::pool::{Caller, Spec};
use crate::protocol::Era;
use crate::runtime::{Progress, Scope};
use crate::server::{Isolation, Launch, ServerSpec};
use crate::session::Session;

/// Caller of a request, and its circumstances.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) principal: Arc<Principal>,
    pub(crate) gateway: GatewayId,
    pub(crate) session: Option<Arc<Session>>,
    pub(crate) caller: Caller,
    pub(crate) token: Option<SecretString>,
    /// Receives progress messages while an instance starts; `None`: they are discarded.
    pub(crate) progress: Option<Progress>,
    /// Its client was already asked for a credential, and is not asked again.
    pub(crate) waited: bool,
    /// The call is sent again with the client's answers; further requests of the server are left to the first one.
    pub(crate) is_repeated: bool,
    /// Audit event of the call; `None`: not audited.
    pub(crate) trail: Option<Arc<Trail>>,
    /// An operator's call, which bypasses the routing of gateways.
    pub(crate) is_operator: bool,
    /// The admission of the request; `None`: the component that serves it checks this itself.
    pub(crate) grant: Option<Arc<dyn Grant>>,
    /// Count of [`Rights`](super::rights::Rights) at the start; `None`: the context sends nothing.
    pub(crate) as_of: Option<u64>,
    /// When the call of a legacy session began. A timer polls such a call again after [`STREAM_AFTER`], so that its
    /// deadline needs no timer before. `None` for what lasts longer than its call.
    pub(crate) begun: Option<Instant>,
    /// The metrics of the server that received the call.
    pub(crate) series: OnceLock<Arc<GatewaySeries>>,
}

/// A call of a legacy session that takes longer is answered with a stream.
pub(crate) const STREAM_AFTER: Duration = Duration::from_secs(1);

impl Context {
    /// Context of a session's own work, with the principal of its last request.
    pub(crate) fn of(session: &Arc<Session>) -> Self {
        Self::within(session, session.principal_now(), session.token())
    }

    /// Context of a request within a session.
    pub(crate) fn within(
        session: &Arc<Session>,
        principal: Arc<Principal>,
        token: Option<SecretString>,
    ) -> Self {
        Self {
            principal,
            gateway: session.gateway.clone(),
            caller: session.caller(),
            session: Some(Arc::clone(session)),
            token,
            progress: None,
            waited: false,
            is_repeated: false,
            trail: None,
            is_operator: false,
            grant: session.grant(),
            as_of: None,
            begun: None,
            series: OnceLock::new(),
        }
    }

    /// Context of the engine's own work on behalf of a principal, which makes no call.
    pub(crate) fn nobodys(principal: &Arc<Principal>, gateway: &GatewayId) -> Self {
        Self {
            principal: Arc::clone(principal),
            gateway: gateway.clone(),
            session: None,
            caller: Caller::engine(Era::Modern),
            token: None,
            progress: None,
            waited: false,
            is_repeated: false,
            trail: None,
            is_operator: false,
            grant: None,
            as_of: None,
            begun: None,
            series: OnceLock::new(),
        }
    }

    /// Records the target of the call and the owner of its credential for the audit log.
    pub(crate) fn goes_to(&self, spec: &Spec, credential: Option<&Credential>) {
        if let Some(trail) = &self.trail {
            let slots = !spec.server.slots.is_empty();
            let is_used =
                |it: &&Credential| slots && !(it.values.is_empty() && spec.server.is_open());
            let owner = credential.filter(is_used).map(|it| &it.owner);
            trail.goes_to(&spec.server.id, owner);
        }
    }

    /// Returns the caller's era.
    pub(crate) fn era(&self) -> Era {
        self.caller.era
    }

    /// Returns which of an owner's instances this caller uses.
    pub(crate) fn scope(&self, server: &ServerSpec) -> Scope {
        let own = || Scope::Principal(self.principal.id.clone());
        match (&server.launch, server.isolation) {
            // A remote server separates callers by its sessions.
            (Launch::Remote(_), _) | (_, Isolation::Shared) => Scope::Shared,
            (_, Isolation::Principal) => own(),
            (_, Isolation::Session) => self
                .session
                .as_ref()
                .map_or_else(own, |session| session.scope.clone()),
        }
    }
}
