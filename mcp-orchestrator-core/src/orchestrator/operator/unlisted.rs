//! Explains why a gateway's list omits a server.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::auth::Principal;
use crate::catalog::{ListKey, method_of};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{GatewayId, ServerId};
use crate::orchestrator::forward::unauthorized::unauthorized;
use crate::orchestrator::state::context::Context;
use crate::orchestrator::state::{Inner, Orchestrator};
use crate::pool::Spec;
use crate::router::{ItemKind, ViewEntry};

/// A server that is missing in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Unlisted {
    /// The server.
    pub server: String,
    /// Why it is missing.
    pub reason: String,
}

impl Orchestrator {
    /// Returns the servers of a gateway with an unknown list of this kind for a principal. Starts no instance: request
    /// the list first.
    ///
    /// # Errors
    /// [`NoRoute`](ErrorKind::NoRoute) for a gateway that the principal cannot see.
    pub async fn unlisted(
        &self,
        principal: &Arc<Principal>,
        gateway: &GatewayId,
        kind: ItemKind,
    ) -> Result<Vec<Unlisted>> {
        let inner = &self.inner;
        let context = Context {
            gateway: gateway.clone(),
            is_operator: false,
            ..inner.operator(principal)
        };
        let view = inner.view(&context)?;
        let mut missing = Vec::new();
        for entry in &view.entries {
            let reason = inner.why_unlisted(&context, entry, kind).await;
            missing.extend(reason.map(|error| Unlisted {
                server: entry.alias.to_string(),
                reason: error.to_string(),
            }));
        }
        Ok(missing)
    }
}

impl Inner {
    async fn why_unlisted(
        &self,
        context: &Context,
        entry: &ViewEntry,
        kind: ItemKind,
    ) -> Option<Error> {
        let spec = match self.spec(&entry.server) {
            Ok(spec) => spec,
            Err(error) => return Some(error),
        };
        let credential = self
            .credential(context, &spec, &entry.credential, None)
            .await;
        let credential = match credential {
            Ok(credential) => credential,
            Err(error) => return Some(error),
        };
        let kept = self.catalog.peek(&ListKey::new(&entry.server, &credential));
        if kept.is_some_and(|kept| kept.has(&[kind]) || !kept.offers(kind)) {
            return None;
        }
        if let Some(wants) = self.demanded(context, &spec, &entry.credential).await {
            return Some(wants);
        }
        Some(self.list_failure(&spec, kind))
    }

    /// Returns why a server did not start, or why its lists could not be fetched.
    pub(crate) fn why_not_listed(&self, server: &ServerId) -> Option<Arc<Error>> {
        let found = self.pool.server(server);
        let start = found.and_then(|found| found.last_failure());
        let fetched = || {
            let handles = self.pool.handles();
            let mut own = handles.iter().filter(|one| one.key.server() == server);
            own.find_map(|handle| handle.list_failure.load_full())
        };
        start.or_else(fetched)
    }

    /// Returns why a server's list is missing.
    pub(crate) fn list_failure(&self, spec: &Spec, kind: ItemKind) -> Error {
        let server = &spec.server.id;
        if let Some(failure) = self.why_not_listed(server) {
            return unauthorized(spec, failure.duplicate()).with_server(server);
        }
        let handles = self.pool.handles();
        let mut own = handles
            .iter()
            .filter(|handle| handle.key.server() == server);
        let (kind_of_error, why) = match own.find_map(|handle| handle.reach.failure()) {
            Some(why) => (ErrorKind::Unavailable, why),
            None => (
                ErrorKind::TimedOut,
                "it did not answer in time, or still starts".to_owned(),
            ),
        };
        let text = format!("no answer to {} of {server}: {why}", method_of(kind));
        Error::new(kind_of_error, text).with_server(server)
    }
}
