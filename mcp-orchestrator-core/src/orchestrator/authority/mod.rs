//! Decides whether a caller may use an instance at this moment.
//!
//! A request is authorized by its routing, when it arrives. Everything that acts later, without being routed, is
//! authorized here: notifications, answers to a server's requests, streams, subscriptions, tasks.

mod before_send;
mod recheck;
mod rights;

use std::sync::Arc;

use super::state::Inner;
use super::state::context::Context;
use super::state::listeners::Listener;
use crate::auth::Principal;
use crate::catalog::ListKey;
use crate::credential::{Credential, Revision};
use crate::error::ErrorKind;
use crate::id::{GatewayId, ServerId};
use crate::limits::MAX_RIGHTS_CHECKS;
use crate::pool::Spec;
use crate::router::ViewEntry;
use crate::runtime::{InstanceKey, Scope};
use crate::session::Session;

pub(super) use self::before_send::SendCheck;
pub(super) use self::recheck::recheck_after_changes;
pub(super) use self::rights::AllowedBy;

/// Whether a call of a caller would now go to a certain instance, or see certain lists.
#[derive(Clone, Debug)]
pub(super) enum Right {
    /// Yes, with this credential.
    Holds(Arc<Credential>),
    /// No: it would go to another instance, or nowhere.
    Lost,
    /// The credential is unavailable right now. Nothing may be sent, but nothing has to end yet.
    Unknown,
}

impl Right {
    /// Returns `true` if the caller may act.
    pub(super) fn holds(&self) -> bool {
        matches!(self, Self::Holds(_))
    }
}

impl Inner {
    /// Returns whether a call of this caller would go to exactly this instance now.
    pub(super) async fn right_to(&self, context: &Context, key: &InstanceKey) -> Right {
        let Ok(spec) = self.spec(key.server()) else {
            return Right::Lost;
        };
        if context.scope(&spec.server) != *key.scope() {
            return Right::Lost;
        }
        let is_its = |credential: &Credential| {
            credential.owner == *key.owner() && credential.revision == *key.revision()
        };
        self.right_by(context, &spec, is_its).await
    }

    /// Returns whether the caller would see these lists now.
    pub(super) async fn right_to_lists(&self, context: &Context, key: &ListKey) -> Right {
        let Ok(spec) = self.spec(key.server()) else {
            return Right::Lost;
        };
        let is_its = |credential: &Credential| ListKey::new(key.server(), credential) == *key;
        self.right_by(context, &spec, is_its).await
    }

    /// Resolving a credential may take time, for example to renew a token. The result is discarded if rights have changed
    /// by then.
    async fn right_by(
        &self,
        context: &Context,
        spec: &Spec,
        is_its: impl Fn(&Credential) -> bool,
    ) -> Right {
        for _ in 0..MAX_RIGHTS_CHECKS {
            let at = self.rights.now();
            let right = self.right_at_once(context, spec, &is_its).await;
            if self.rights.now() == at {
                return right;
            }
        }
        Right::Unknown
    }

    async fn right_at_once(
        &self,
        context: &Context,
        spec: &Spec,
        is_its: impl Fn(&Credential) -> bool,
    ) -> Right {
        let Ok(view) = self.view(context) else {
            return Right::Lost;
        };
        let mut right = Right::Lost;
        for entry in of_server(&view.entries, &spec.server.id) {
            let found = self.credential(context, spec, &entry.credential, None);
            match found.await {
                Ok(credential) if is_its(&credential) => return Right::Holds(credential),
                Ok(_) => {}
                Err(none) if none.kind() == ErrorKind::CredentialMissing => {}
                Err(_) => right = Right::Unknown,
            }
        }
        right
    }

    /// Returns `true` if unsolicited messages of an instance may go to this session's client: the gateway exposes the
    /// server with a rule that includes the instance's owner. Does not wait, so it does not check which owner has a
    /// credential now.
    pub(super) fn session_may_hear(&self, session: &Session, key: &InstanceKey) -> bool {
        let own = match key.scope() {
            Scope::Session(_) => session.scope == *key.scope(),
            Scope::Shared | Scope::Principal(_) => true,
        };
        let principal = self.now(&session.principal_now());
        own && self.may_hear(&principal, &session.gateway, key)
    }

    /// Like [`session_may_hear`](Self::session_may_hear), for a modern caller's stream.
    pub(super) fn listener_may_hear(&self, listener: &Listener, key: &InstanceKey) -> bool {
        let principal = self.now(&listener.principal);
        !listener.ended.is_cancelled()
            && !matches!(key.scope(), Scope::Session(_))
            && self.may_hear(&principal, &listener.gateway, key)
    }

    fn may_hear(&self, principal: &Principal, gateway: &GatewayId, key: &InstanceKey) -> bool {
        let Ok(view) = self.router.view(principal, gateway) else {
            return false;
        };
        let is_theirs = match key.scope() {
            Scope::Principal(only) => *only == principal.id,
            Scope::Shared | Scope::Session(_) => true,
        };
        let without = *key.revision() == Revision::none();
        is_theirs
            && self.pool.server(key.server()).is_some()
            && of_server(&view.entries, key.server()).any(|entry| {
                let mut owners = entry.credential.owners(principal);
                without || owners.any(|owner| owner == *key.owner())
            })
    }

    /// Returns the principal with its current teams, as far as the directory determines them.
    pub(super) fn now(&self, principal: &Arc<Principal>) -> Arc<Principal> {
        match &self.directory {
            Some(directory) => directory.renew(principal),
            None => Arc::clone(principal),
        }
    }
}

fn of_server<'a>(
    entries: &'a [ViewEntry],
    server: &'a ServerId,
) -> impl Iterator<Item = &'a ViewEntry> {
    entries.iter().filter(move |entry| entry.server == *server)
}
