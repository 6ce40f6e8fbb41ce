//! Whether a caller may use an instance at this moment.
//!
//! A request is routed when it comes, and that decides. What acts later, without being routed, is decided here:
//! notifications, answers to a server's questions, streams, subscriptions, tasks.

mod notices;
mod recheck;
mod rights;

use std::sync::Arc;

use super::Inner;
use super::context::Context;
use super::events::Listener;
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

pub(super) use self::recheck::recheck_after_changes;
pub(super) use self::rights::{Judged, Rights};

/// Whether a call of a caller would go to a certain instance, or see certain lists, now.
#[derive(Clone, Debug)]
pub(super) enum Right {
    /// It would, with this credential.
    Holds(Arc<Credential>),
    /// It would go elsewhere, or nowhere.
    Lost,
    /// The credential cannot be had right now: nothing may be sent, and nothing needs to end yet.
    Unknown,
}

impl Right {
    /// Whether the caller may act.
    pub(super) fn holds(&self) -> bool {
        matches!(self, Self::Holds(_))
    }
}

impl Inner {
    /// Whether a call of this caller would go to this very instance now.
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

    /// Whether the caller would be shown these lists now.
    pub(super) async fn right_to_lists(&self, context: &Context, key: &ListKey) -> Right {
        let Ok(spec) = self.spec(key.server()) else {
            return Right::Lost;
        };
        let is_its = |credential: &Credential| ListKey::new(key.server(), credential) == *key;
        self.right_by(context, &spec, is_its).await
    }

    /// What is asked for may take its time, as a token that is renewed. Whatever has changed by then is asked again.
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

    /// Whether what an instance says of its own accord may go to this session's client: the gateway shows its server,
    /// by a rule that leads to its owner. It answers at once, so it does not ask which owner has a credential now.
    pub(super) fn session_may_hear(&self, session: &Session, key: &InstanceKey) -> bool {
        let own = match key.scope() {
            Scope::Session(_) => session.scope == *key.scope(),
            Scope::Shared | Scope::Principal(_) => true,
        };
        let principal = self.now(&session.principal_now());
        own && self.may_hear(&principal, &session.gateway, key)
    }

    /// The same for a modern caller's stream.
    pub(super) fn listener_may_hear(&self, listener: &Listener, key: &InstanceKey) -> bool {
        let principal = self.now(&listener.principal);
        !matches!(key.scope(), Scope::Session(_))
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

    /// The principal with its teams of now, as far as the directory decides about them.
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
