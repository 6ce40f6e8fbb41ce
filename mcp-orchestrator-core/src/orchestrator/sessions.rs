//! Legacy sessions: opened here, continued from another process, and ended.

use std::sync::Arc;

use super::state::Inner;
use super::state::context::Context;
use crate::auth::Principal;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{GatewayId, SessionId};
use crate::session::{Adopted, SealedSession, Session};
use crate::transport::ClientFacts;

impl Inner {
    /// Creates a session for a client that was just initialized. It is not in the table yet.
    pub(super) fn new_session(
        &self,
        (principal, gateway): (&Arc<Principal>, &GatewayId),
        version: &'static str,
        facts: ClientFacts,
    ) -> Arc<Session> {
        let sealed = SealedSession::new(self.sessions.process(), version, facts);
        let id = sealed.seal(&self.key, principal, gateway);
        let caller = (Arc::clone(principal), gateway.clone());
        Arc::new(self.sessions.create((id, sealed), caller))
    }

    /// Adds a new session to the table. If its principal has too many, the least recently used one ends.
    ///
    /// # Errors
    /// [`Overloaded`](ErrorKind::Overloaded).
    pub(super) fn add_session(self: &Arc<Self>, session: &Arc<Session>) -> Result<()> {
        let displaced = self.sessions.insert(session).inspect_err(|_| {
            // A session-scoped instance may have been started.
            self.pool.end_scope(&session.scope);
        })?;
        self.end_displaced(displaced);
        Ok(())
    }

    /// Returns the session with this id. A session that another process opened, such as the one before a restart,
    /// continues here with what its client declared; its connections to servers are opened anew.
    ///
    /// # Errors
    /// [`SessionNotFound`](ErrorKind::SessionNotFound) for any session that is not the principal's at this gateway, and
    /// for one that ended here. [`Overloaded`](ErrorKind::Overloaded) if the session cannot continue because too many
    /// are open.
    pub(super) fn session(
        self: &Arc<Self>,
        id: &SessionId,
        principal: &Principal,
        gateway: &GatewayId,
    ) -> Result<Arc<Session>> {
        match self.sessions.get(id, principal, gateway) {
            Some(session) => Ok(session),
            None => self.adopt_session(id, principal, gateway),
        }
    }

    fn adopt_session(
        self: &Arc<Self>,
        id: &SessionId,
        principal: &Principal,
        gateway: &GatewayId,
    ) -> Result<Arc<Session>> {
        let sealed = self.foreign_session(id, principal, gateway)?;
        let caller = (Arc::new(principal.clone()), gateway.clone());
        let session = Arc::new(self.sessions.create((id.clone(), sealed), caller));
        self.view(&Context::of(&session))?;
        match self.sessions.adopt(session)? {
            Adopted::New { session, displaced } => {
                tracing::info!(%gateway, principal = %principal.id, "a session of another process continues here");
                self.end_displaced(displaced);
                Ok(session)
            }
            Adopted::Known(session) => Ok(session),
            Adopted::Ended => Err(no_session()),
        }
    }

    /// Opens the id of a session that another process opened.
    fn foreign_session(
        &self,
        id: &SessionId,
        principal: &Principal,
        gateway: &GatewayId,
    ) -> Result<SealedSession> {
        let Some(sealed) = SealedSession::open(id, &self.key, principal, gateway) else {
            if let Some(omitted) = self.sessions.count_refused() {
                tracing::info!(%gateway, principal = %principal.id, omitted, "a session id was refused: it is altered, too old, from another state key, or belongs to another principal or gateway");
            }
            return Err(no_session());
        };
        if self.sessions.is_own(&sealed) {
            return Err(no_session());
        }
        Ok(sealed)
    }

    /// Ends the session with this id for its client.
    ///
    /// # Errors
    /// [`SessionNotFound`](ErrorKind::SessionNotFound).
    pub(super) fn end_session_of(
        self: &Arc<Self>,
        id: &SessionId,
        principal: &Principal,
        gateway: &GatewayId,
    ) -> Result<()> {
        if let Some(session) = self.sessions.get(id, principal, gateway) {
            self.end_session(&session);
            return Ok(());
        }
        self.foreign_session(id, principal, gateway)?;
        match self.sessions.refuse(id) {
            true => Ok(()),
            false => Err(no_session()),
        }
    }

    /// Ends a legacy session with its subscriptions and its own instances.
    pub(super) fn end_session(self: &Arc<Self>, session: &Arc<Session>) {
        if self.sessions.remove(&session.id).is_some() {
            session.end();
            self.unsubscribe(session.party);
            self.pool.end_scope(&session.scope);
        }
    }

    fn end_displaced(self: &Arc<Self>, displaced: Option<Arc<Session>>) {
        if let Some(idle) = displaced {
            tracing::info!(gateway = %idle.gateway, "a session ends: its principal has opened too many, and used it least recently");
            self.end_session(&idle);
        }
    }
}

fn no_session() -> Error {
    Error::new(ErrorKind::SessionNotFound, "no such session")
}
