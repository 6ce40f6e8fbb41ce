//! Ends what depended on a lost right: a session with its gateway, a connection or a subscription with its server.
//!
//! The check runs after each change of gateways, people and credentials. Nothing leaks between a change and its check,
//! because each delivery is authorized separately. In addition, views alone are checked periodically, for routers that
//! do not report changes. Credentials are left out there, because resolving a token renews it as if it were used.

use std::sync::{Arc, Weak};

use futures_util::{StreamExt as _, stream};

use super::Right;
use crate::auth::Standing;
use crate::limits::{
    ACCESS_CHECK_TIMEOUT, MAX_ACCESS_CHECKS, RIGHTS_CHECK_INTERVAL, RIGHTS_CHECK_PAUSE,
};
use crate::orchestrator::state::context::Context;
use crate::orchestrator::state::listeners::Listener;
use crate::orchestrator::state::{Inner, Orchestrator};
use crate::session::Session;

impl Orchestrator {
    /// Schedules a check of whether sessions, streams and subscriptions are still allowed, and ends the others. Call it
    /// after the gateways of a router or the people of a directory have changed.
    pub fn recheck(&self) {
        self.inner.rights.advance();
    }
}

/// Scope of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    /// The views of gateways.
    Views,
    /// Views, and the credential that would be used.
    Credentials,
}

/// Runs a check after each change, until the pool closes.
pub(crate) async fn recheck_after_changes(inner: Weak<Inner>) {
    let Some(first) = inner.upgrade() else { return };
    let closing = first.pool.closing().clone();
    let mut changes = first.rights.subscribe();
    drop(first);
    loop {
        let check = tokio::select! {
            Ok(()) = changes.changed() => Check::Credentials,
            () = tokio::time::sleep(RIGHTS_CHECK_INTERVAL) => Check::Views,
            () = closing.cancelled() => return,
        };
        let Some(inner) = inner.upgrade() else { return };
        tokio::select! {
            () = inner.recheck(check) => {}
            () = closing.cancelled() => return,
        }
        drop(inner);
        // Treats many credentials that change at once as one change.
        tokio::time::sleep(RIGHTS_CHECK_PAUSE).await;
    }
}

impl Inner {
    async fn recheck(self: &Arc<Self>, check: Check) {
        if self.rights.take_access() {
            self.recheck_access().await;
        }
        for session in self.sessions.all() {
            self.recheck_session(&session, check).await;
            tokio::task::consume_budget().await;
        }
        for listener in self.listeners.all() {
            self.recheck_listener(&listener, check).await;
            tokio::task::consume_budget().await;
        }
    }

    /// Ends the sessions with a last request that would not be admitted now.
    async fn recheck_access(self: &Arc<Self>) {
        let checks = self.sessions.all().into_iter().filter_map(|session| {
            let grant = session.grant()?;
            Some(async move {
                let standing = tokio::time::timeout(ACCESS_CHECK_TIMEOUT, grant.standing()).await;
                (session, standing.unwrap_or(Standing::Unknown))
            })
        });
        let mut checks = stream::iter(checks).buffer_unordered(MAX_ACCESS_CHECKS);
        while let Some((session, standing)) = checks.next().await {
            match standing {
                // A client with an expired token continues with its next one. Nothing is sent for it until then.
                Standing::Holds | Standing::Expired => {}
                Standing::Unknown => self.rights.check_access_again(),
                Standing::Lost => {
                    tracing::info!(gateway = %session.gateway, "session ended: its client lost access");
                    self.end_session(&session);
                }
            }
        }
    }

    async fn recheck_session(self: &Arc<Self>, session: &Arc<Session>, check: Check) {
        session.principal_is(&self.now(&session.principal_now()));
        let context = Context::of(session);
        if self.view(&context).is_err() {
            tracing::info!(gateway = %session.gateway, "a session ends: its principal may not use the gateway any more");
            return self.end_session(session);
        }
        for handle in session.handles() {
            let hears = self.session_may_hear(session, &handle.key);
            let lost = check == Check::Credentials
                && matches!(self.right_to(&context, &handle.key).await, Right::Lost);
            if lost || !hears {
                tracing::debug!(instance = %handle.key, "a session leaves an instance that it may not use any more");
                session.forget(&handle);
                if !hears {
                    handle.link.leave(session.party);
                }
            }
        }
        if check == Check::Credentials {
            self.recheck_subscriptions(&context, Some(session), session.party)
                .await;
        }
    }

    async fn recheck_listener(self: &Arc<Self>, listener: &Arc<Listener>, check: Check) {
        let principal = self.now(&listener.principal);
        let context = Context::nobodys(&principal, &listener.gateway);
        if self.view(&context).is_err() {
            tracing::info!(gateway = %listener.gateway, "a stream ends: its principal may not use the gateway any more");
            listener.ended.cancel();
            return self.unsubscribe(listener.party);
        }
        if check == Check::Credentials {
            self.recheck_subscriptions(&context, None, listener.party)
                .await;
        }
    }
}
