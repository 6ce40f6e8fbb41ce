//! The caller, gateway and era of a call, for every step of its path.

use std::sync::Arc;

use secrecy::SecretString;

use super::Inner;
use super::audited::Trail;
use crate::auth::{Grant, Principal};
use crate::call::Call;
use crate::credential::Credential;
use crate::id::GatewayId;
use crate::pool::{Caller, Spec};
use crate::protocol::Era;
use crate::runtime::{Progress, Scope};
use crate::server::{Isolation, Launch, ServerSpec};
use crate::session::Session;

/// Caller of a request, and its circumstances.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) principal: Arc<Principal>,
    pub(super) gateway: GatewayId,
    pub(super) session: Option<Arc<Session>>,
    pub(super) caller: Caller,
    pub(super) token: Option<SecretString>,
    /// Receives progress messages while an instance starts; `None`: they are discarded.
    pub(super) progress: Option<Progress>,
    /// Its client was already asked for a credential, and is not asked again.
    pub(super) waited: bool,
    /// Audit event of the call; `None`: not audited.
    pub(super) trail: Option<Arc<Trail>>,
    /// An operator's call, which bypasses the routing of gateways.
    pub(super) is_operator: bool,
    /// The admission of the request; `None`: the component that serves it checks this itself.
    pub(super) grant: Option<Arc<dyn Grant>>,
    /// Count of [`Rights`](super::authority::Rights) at the start; `None`: the context sends nothing.
    pub(super) as_of: Option<u64>,
}

impl Context {
    /// Context of a modern call, which belongs to a principal only.
    pub(super) fn modern(inner: &Inner, call: &Call) -> Self {
        let party = inner.party_of(&call.principal.id);
        Self {
            principal: Arc::clone(&call.principal),
            gateway: call.gateway.clone(),
            session: None,
            caller: Caller {
                party,
                era: Era::Modern,
                client: None,
            },
            token: call.token.clone(),
            progress: None,
            waited: false,
            trail: None,
            is_operator: false,
            grant: None,
            as_of: Some(inner.rights.now()),
        }
    }

    /// Context of a legacy call in its session.
    pub(super) fn legacy(inner: &Inner, session: &Arc<Session>, call: &Call) -> Self {
        // The principal of the call, not of the session: it reflects teams that the user has left.
        let principal = Arc::clone(&call.principal);
        Self {
            as_of: Some(inner.rights.now()),
            ..Self::within(session, principal, call.token.clone())
        }
    }

    /// Context of a session's own work, with the principal of its last request.
    pub(super) fn of(session: &Arc<Session>) -> Self {
        Self::within(session, session.principal_now(), session.token())
    }

    fn within(
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
            trail: None,
            is_operator: false,
            grant: session.grant(),
            as_of: None,
        }
    }

    /// Context of the engine's own work on behalf of a principal, which makes no call.
    pub(super) fn nobodys(principal: &Arc<Principal>, gateway: &GatewayId) -> Self {
        Self {
            principal: Arc::clone(principal),
            gateway: gateway.clone(),
            session: None,
            caller: Caller::engine(Era::Modern),
            token: None,
            progress: None,
            waited: false,
            trail: None,
            is_operator: false,
            grant: None,
            as_of: None,
        }
    }

    /// Records the target of the call and the owner of its credential for the audit log.
    pub(super) fn goes_to(&self, spec: &Spec, credential: Option<&Credential>) {
        if let Some(trail) = &self.trail {
            let slots = !spec.server.slots.is_empty();
            let is_used =
                |it: &&Credential| slots && !(it.values.is_empty() && spec.server.is_open());
            let owner = credential.filter(is_used).map(|it| &it.owner);
            trail.goes_to(&spec.server.id, owner);
        }
    }

    /// Returns the caller's era.
    pub(super) fn era(&self) -> Era {
        self.caller.era
    }

    /// Returns which of an owner's instances this caller uses.
    pub(super) fn scope(&self, server: &ServerSpec) -> Scope {
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
