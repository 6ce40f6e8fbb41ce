//! Name conflicts: items that several servers of a gateway list but that the gateway shows only once.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::auth::Principal;
use crate::catalog::override_conflicts;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{GatewayId, ServerId};
use crate::orchestrator::state::context::Context;
use crate::orchestrator::state::{Inner, Orchestrator};
use crate::router::{Conflict, ItemKind, View};

/// Maximum number of conflicts that are logged at once; further ones are only counted.
const NAMED: usize = 10;

impl Orchestrator {
    /// Returns the conflicts in a gateway as this principal sees it: bare names of tools and prompts, and URIs of
    /// resources, that more than one server lists, and changes of tools that do not fit the server's list. Reads only
    /// the list cache and starts no instance. Logs conflicts that are new.
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
        let context = Context::nobodys(principal, gateway);
        let overrides = self.inner.override_conflicts(&context, &view).await;
        let mut found = self.inner.catalog.conflicts(principal, &view);
        self.inner.warn_of(principal, gateway, &view, &found);
        found.extend(overrides);
        Ok(found)
    }

    /// Like [`conflicts`](Self::conflicts), for a view that no gateway shows yet.
    pub async fn conflicts_in(&self, principal: &Arc<Principal>, view: &View) -> Vec<Conflict> {
        let context = Context::nobodys(principal, &GatewayId::default_gateway());
        // Loads the cached lists as well.
        let overrides = self.inner.override_conflicts(&context, view).await;
        let mut found = self.inner.catalog.conflicts(principal, view);
        found.extend(overrides);
        found
    }

    /// Fetches the lists of a gateway's servers. Starts the servers that have none in the list cache.
    ///
    /// # Errors
    /// [`NoRoute`](ErrorKind::NoRoute) for a gateway that the principal cannot see. A server that fails to start is not
    /// an error here; [`instances`](Self::instances) reports it.
    pub async fn learn(&self, principal: &Arc<Principal>, gateway: &GatewayId) -> Result<()> {
        let context = Context::nobodys(principal, gateway);
        let view = self.inner.view(&context)?;
        self.inner.sources(&context, &view, &ItemKind::ALL).await;
        Ok(())
    }
}

impl Inner {
    /// Loads the list cache entries of a view into memory without starting an instance.
    pub(crate) async fn remember(
        &self,
        principal: &Arc<Principal>,
        gateway: &GatewayId,
        view: &View,
    ) {
        let context = Context::nobodys(principal, gateway);
        self.known(&context, view).await;
    }

    /// Returns the overrides of tools in a view that hide another tool or do not have their full effect, as far as the
    /// list cache shows.
    async fn override_conflicts(&self, context: &Context, view: &View) -> Vec<Conflict> {
        let sources = self.known(context, view).await;
        let sources = sources.iter().flatten();
        sources.flat_map(override_conflicts).collect()
    }

    /// Logs these overrides for a caller of a list, once each.
    pub(super) async fn warn_of_overrides(&self, context: &Context, view: &Arc<View>) {
        let (principal, gateway) = (&context.principal, &context.gateway);
        if view.entries.iter().all(|entry| entry.overrides.is_empty()) {
            return;
        }
        let looked_at = self.looked_at(view);
        if !self
            .told_overrides
            .is_due(gateway, &principal.id, looked_at)
        {
            return;
        }
        let found = self.override_conflicts(context, view).await;
        let told = &self.told_overrides;
        if told.is_new(gateway, &principal.id, looked_at, &found) {
            log(principal, gateway, &found);
        }
    }

    /// Logs new conflicts for each principal who can see this server, after its lists have changed.
    pub(crate) fn tell_conflicts(&self, server: &ServerId) {
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

    /// Logs the conflicts in a gateway, once each.
    pub(crate) fn warn_of_conflicts(&self, principal: &Principal, gateway: &GatewayId) {
        let Ok(view) = self.router.view(principal, gateway) else {
            return;
        };
        if self
            .told
            .is_due(gateway, &principal.id, self.looked_at(&view))
        {
            let found = self.catalog.conflicts(principal, &view);
            self.warn_of(principal, gateway, &view, &found);
        }
    }

    /// Identifies the current versions of the lists and of the view.
    fn looked_at(&self, view: &Arc<View>) -> (u64, usize) {
        (self.catalog.version(), Arc::as_ptr(view) as usize)
    }

    fn warn_of(
        &self,
        principal: &Principal,
        gateway: &GatewayId,
        view: &Arc<View>,
        found: &[Conflict],
    ) {
        let looked_at = self.looked_at(view);
        if !self.told.is_new(gateway, &principal.id, looked_at, found) {
            return;
        }
        log(principal, gateway, found);
    }
}

fn log(principal: &Principal, gateway: &GatewayId, found: &[Conflict]) {
    for conflict in found.iter().take(NAMED) {
        tracing::warn!(%gateway, principal = %principal.id, "{conflict}");
    }
    if found.len() > NAMED {
        let more = found.len() - NAMED;
        tracing::warn!(%gateway, principal = %principal.id, "and {more} more conflicts");
    }
}
