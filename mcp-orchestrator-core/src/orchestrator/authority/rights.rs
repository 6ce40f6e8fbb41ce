//! Change tracking of rights, and the renewed authorization of calls that waited.

use std::sync::Arc;

use http::HeaderValue;

use super::Right;
use crate::auth::{AccessRevision, Grant, Principal, Standing};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{GatewayId, SessionId};
use crate::limits::MAX_RIGHTS_CHECKS;
use crate::orchestrator::state::context::Context;
use crate::orchestrator::state::{Inner, Orchestrator};
use crate::router::{Item, Route};
use crate::runtime::InstanceKey;

/// The reason why a message was allowed to go to an instance.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AllowedBy<'a> {
    /// The right to the instance alone.
    Instance,
    /// An item that the gateway exposes.
    Item(Item<'a>),
    /// A tool that the gateway exposes, by this route.
    Tool(Item<'a>, &'a Route<'a>),
    /// The gateway exposes all of the server.
    Whole,
}

impl Orchestrator {
    /// Binds a legacy session to the admission of its latest request. `authorization` is that request's header of this
    /// name; a new grant is created if it differs from that of the request before.
    ///
    /// # Errors
    /// [`SessionNotFound`](ErrorKind::SessionNotFound).
    pub fn bind(
        &self,
        principal: &Principal,
        gateway: &GatewayId,
        id: &SessionId,
        authorization: Option<&HeaderValue>,
        grant: impl FnOnce() -> Arc<dyn Grant>,
    ) -> Result<()> {
        let session = self.inner.session(id, principal, gateway)?;
        session.admitted(authorization, grant);
        Ok(())
    }

    /// Schedules a check of whether the grants of sessions still hold. [`follow`](Self::follow) does this at each
    /// change; call it for a session that was bound after a change.
    pub fn check_access(&self) {
        self.inner.rights.advance_access();
    }

    /// Follows changes that revoke access: sessions with a lost [grant](crate::auth::Grant) end, with their calls,
    /// streams and subscriptions.
    pub fn follow(&self, revision: &AccessRevision) {
        let (inner, mut changes) = (Arc::downgrade(&self.inner), revision.subscribe());
        let closing = self.inner.pool.closing().clone();
        let following = async move {
            while changes.changed().await.is_ok() {
                let Some(inner) = inner.upgrade() else { return };
                inner.rights.advance_access();
            }
        };
        let following = closing.run_until_cancelled_owned(following);
        self.inner.pool.tasks().spawn(following);
    }
}

impl Inner {
    /// Authorizes a message again, with the caller's current access, teams, view, credential and scope.
    ///
    /// # Errors
    /// If the message may no longer go to this instance.
    pub(crate) async fn judge_again(
        &self,
        context: &Context,
        key: &InstanceKey,
        judged: AllowedBy<'_>,
    ) -> Result<()> {
        if context.is_operator {
            return Ok(());
        }
        for _ in 0..MAX_RIGHTS_CHECKS {
            let at = self.rights.now();
            self.still_admitted(context).await?;
            let context = Context {
                principal: self.now(&context.principal),
                ..context.clone()
            };
            let lost = matches!(self.right_to(&context, key).await, Right::Lost);
            if lost || !self.still_shows(&context, key, judged) {
                let shows = |item| {
                    let route = self.route(&context, item);
                    route.is_ok_and(|route| route.server == *key.server())
                };
                let text = match judged {
                    AllowedBy::Tool(item, _) if !lost && shows(item) => {
                        "the gateway changed this tool while the call waited: list the tools again"
                            .to_owned()
                    }
                    _ => format!("server {} may not be used any more", key.server()),
                };
                return Err(Error::new(ErrorKind::NoRoute, text));
            }
            if self.rights.now() == at {
                return Ok(());
            }
        }
        let text = "rights changed too often while the call waited: try again";
        Err(Error::new(ErrorKind::Unavailable, text))
    }

    /// Checks that the request of this context would still be admitted.
    ///
    /// # Errors
    /// [`Unauthenticated`](ErrorKind::Unauthenticated) if its token was revoked or has expired.
    pub(crate) async fn still_admitted(&self, context: &Context) -> Result<()> {
        let Some(grant) = &context.grant else {
            return Ok(());
        };
        let why = match grant.standing().await {
            Standing::Holds | Standing::Unknown => return Ok(()),
            Standing::Expired => "the token of this call expired while it waited",
            Standing::Lost => "the caller lost access while the call waited",
        };
        Err(Error::new(ErrorKind::Unauthenticated, why))
    }

    fn still_shows(&self, context: &Context, key: &InstanceKey, judged: AllowedBy<'_>) -> bool {
        match judged {
            AllowedBy::Instance => true,
            AllowedBy::Item(item) => self
                .route(context, item)
                .is_ok_and(|route| route.server == *key.server()),
            // The edits of the message are those of its route, so another override needs another message.
            AllowedBy::Tool(item, routed) => self.route(context, item).is_ok_and(|route| {
                route.server == *key.server()
                    && (&route.name, &route.change) == (&routed.name, &routed.change)
            }),
            AllowedBy::Whole => self.view(context).is_ok_and(|view| {
                let mut entries = view.entries.iter();
                entries.any(|entry| entry.server == *key.server() && entry.is_whole())
            }),
        }
    }
}
