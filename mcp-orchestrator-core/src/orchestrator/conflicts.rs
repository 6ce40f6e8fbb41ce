//! One name, several servers: what a gateway shows once although more than one server lists it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use super::context::Context;
use super::{Inner, Orchestrator};
use crate::auth::Principal;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{GatewayId, PrincipalId, ServerId};
use crate::router::{Conflict, View};

/// Gateways of principals of which the log has told.
const TOLD: usize = 1024;
/// Names that one line of the log tells.
const NAMED: usize = 10;

impl Orchestrator {
    /// What stands under one name more than once in a gateway of this principal's: bare names of tools and prompts, and
    /// URIs of resources. It tells what the kept lists show, and starts nothing; what is new is logged.
    ///
    /// # Errors
    /// [`NoRoute`](ErrorKind::NoRoute) for a gateway that the principal cannot see.
    pub async fn conflicts(
        &self,
        principal: &Arc<Principal>,
        gateway: &GatewayId,
    ) -> Result<Vec<Conflict>> {
        let view = self.inner.router.view(principal, gateway);
        let view = view.map_err(|none| Error::new(ErrorKind::NoRoute, none.to_string()))?;
        let found = self.conflicts_in(principal, &view).await;
        self.inner.warn_of(principal, gateway, &found);
        Ok(found)
    }

    /// The same for a view that no gateway shows yet.
    pub async fn conflicts_in(&self, principal: &Arc<Principal>, view: &View) -> Vec<Conflict> {
        let gateway = GatewayId::default_gateway();
        self.inner.remember(principal, &gateway, view).await;
        self.inner.catalog.conflicts(principal, view)
    }

    /// Learns the lists of a gateway's servers: where none are kept, its servers start.
    ///
    /// # Errors
    /// [`NoRoute`](ErrorKind::NoRoute) for a gateway that the principal cannot see. A server that does not start is no
    /// error here; [`instances`](Self::instances) tells of it.
    pub async fn learn(&self, principal: &Arc<Principal>, gateway: &GatewayId) -> Result<()> {
        let context = Context::nobodys(principal, gateway);
        let view = self.inner.view(&context)?;
        self.inner.sources(&context, &view).await;
        Ok(())
    }
}

/// What the log has told, so that it tells each thing once; bounded, oldest first.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<VecDeque<(GatewayId, PrincipalId, Vec<Conflict>)>>);

impl Told {
    /// Whether this is news.
    fn is_new(&self, gateway: &GatewayId, principal: &PrincipalId, found: &[Conflict]) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = told
            .iter()
            .position(|(other, who, _)| other == gateway && who == principal);
        let before = known.and_then(|at| told.remove(at));
        let news = before.map_or(!found.is_empty(), |(.., before)| before != found);
        if !found.is_empty() {
            told.push_back((gateway.clone(), principal.clone(), found.to_vec()));
        }
        if told.len() > TOLD {
            told.pop_front();
        }
        news && !found.is_empty()
    }
}

impl Inner {
    /// Brings the kept lists of a view into memory; nothing is started for it.
    pub(super) async fn remember(
        &self,
        principal: &Arc<Principal>,
        gateway: &GatewayId,
        view: &View,
    ) {
        let context = Context::nobodys(principal, gateway);
        self.known(&context, view).await;
    }

    /// Logs what collides for those who can see a server whose lists have become other ones.
    pub(super) fn tell_conflicts(&self, server: &ServerId) {
        let sessions = self.sessions.all().into_iter();
        let sessions = sessions.map(|session| (session.principal_now(), session.gateway.clone()));
        let listeners = self.listeners.all().into_iter();
        let listeners = listeners.map(|one| (Arc::clone(&one.principal), one.gateway.clone()));
        let mut done = BTreeSet::new();
        for (principal, gateway) in sessions.chain(listeners) {
            if !done.insert((principal.id.clone(), gateway.clone())) {
                continue;
            }
            let view = self.router.view(&principal, &gateway);
            let sees =
                view.is_ok_and(|view| view.entries.iter().any(|entry| entry.server == *server));
            if sees {
                self.warn_of_conflicts(&principal, &gateway);
            }
        }
    }

    /// Logs what collides in a gateway, once.
    pub(super) fn warn_of_conflicts(&self, principal: &Principal, gateway: &GatewayId) {
        let Ok(view) = self.router.view(principal, gateway) else {
            return;
        };
        let found = self.catalog.conflicts(principal, &view);
        self.warn_of(principal, gateway, &found);
    }

    fn warn_of(&self, principal: &Principal, gateway: &GatewayId, found: &[Conflict]) {
        if !self.told.is_new(gateway, &principal.id, found) {
            return;
        }
        for conflict in found.iter().take(NAMED) {
            tracing::warn!(%gateway, principal = %principal.id, "{conflict}");
        }
        if found.len() > NAMED {
            let more = found.len() - NAMED;
            tracing::warn!(%gateway, principal = %principal.id, "and {more} more names that several servers list");
        }
    }
}
