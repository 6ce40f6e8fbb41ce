//! Who calls, through which gateway, in which dialect: what every part of the path asks for.

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

/// Who calls, and how.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) principal: Arc<Principal>,
    pub(super) gateway: GatewayId,
    pub(super) session: Option<Arc<Session>>,
    pub(super) caller: Caller,
    pub(super) token: Option<SecretString>,
    /// Where it is told what a start waits for; none: nobody wants to know.
    pub(super) progress: Option<Progress>,
    /// Its client was asked for a credential already: it is not asked again.
    pub(super) waited: bool,
    /// Its audit event; none: nobody wants to know.
    pub(super) trail: Option<Arc<Trail>>,
    /// An operator's call, which no gateway routes.
    pub(super) is_operator: bool,
    /// What admitted the request; none: whoever serves it sees to that.
    pub(super) grant: Option<Arc<dyn Grant>>,
    /// At which count of [`Rights`](super::authority::Rights) it was begun; none: it sends nothing.
    pub(super) as_of: Option<u64>,
}

impl Context {
    /// A modern caller: its principal is all that lasts.
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

    /// A legacy caller in its session.
    pub(super) fn legacy(inner: &Inner, session: &Arc<Session>, call: &Call) -> Self {
        // As it is now: who has left a team, has left it for this session too.
        let principal = Arc::clone(&call.principal);
        Self {
            as_of: Some(inner.rights.now()),
            ..Self::within(session, principal, call.token.clone())
        }
    }

    /// A session's own business, by whoever sent its last request.
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

    /// A question of the engine's own on behalf of a principal, which calls nobody.
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

    /// Whether rights have changed since it was begun.
    pub(super) fn is_stale(&self, inner: &Inner) -> bool {
        self.as_of.is_some_and(|at| at != inner.rights.now())
    }

    /// Notes for the audit log where the call goes, and with whose credential.
    pub(super) fn goes_to(&self, spec: &Spec, credential: Option<&Credential>) {
        if let Some(trail) = &self.trail {
            let slots = !spec.server.slots.is_empty();
            let is_used =
                |it: &&Credential| slots && !(it.values.is_empty() && spec.server.is_open());
            let owner = credential.filter(is_used).map(|it| &it.owner);
            trail.goes_to(&spec.server.id, owner);
        }
    }

    /// The caller's dialect.
    pub(super) fn era(&self) -> Era {
        self.caller.era
    }

    /// Which of an owner's instances this caller uses.
    pub(super) fn scope(&self, server: &ServerSpec) -> Scope {
        let own = || Scope::Principal(self.principal.id.clone());
        match (&server.launch, server.isolation) {
            // A remote server keeps callers apart by its sessions.
            (Launch::Remote(_), _) | (_, Isolation::Shared) => Scope::Shared,
            (_, Isolation::Principal) => own(),
            (_, Isolation::Session) => self
                .session
                .as_ref()
                .map_or_else(own, |session| session.scope.clone()),
        }
    }
}
