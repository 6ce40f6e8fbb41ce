//! Passes a session's log level on to its servers, and prepares those that it uses for the first time.

use std::sync::Arc;

use super::initialize::has_capability;
use crate::call::{Reply, own};
use crate::catalog::ask_for;
use crate::error::Result;
use crate::jsonrpc::{Members, Message, quote, request, text};
use crate::orchestrator::authority::{AllowedBy, SendCheck};
use crate::orchestrator::params::{empty, missing, params};
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::context::Context;
use crate::pool::{Handle, Lease, Link};
use crate::protocol::{Era, method};
use crate::session::{Session, severity_of};

impl Inner {
    /// Handles `logging/setLevel`: stores the level in the session and passes it to the servers that the session uses.
    pub(crate) async fn set_level(&self, context: &Context, message: &Message) -> Result<Reply> {
        let level = params(message)?.level.and_then(|raw| text(raw.get()));
        let level = level.filter(|level| severity_of(level).is_some());
        let level = level.ok_or_else(|| missing("level"))?;
        if let Some(session) = &context.session {
            let handles = session.handles();
            let servers = handles.iter().map(|handle| handle.key.server());
            let _counts = self.in_flight.enter_all(&context.principal.id, servers)?;
            session.set_level(&level);
            let passing = handles.iter().map(|handle| async move {
                let as_of = self.rights.now();
                if self.right_to(context, &handle.key).await.holds() {
                    self.pass_level(context, session, handle, as_of).await;
                }
            });
            futures_util::future::join_all(passing).await;
        }
        Ok(empty(message))
    }

    /// Prepares an instance that a session uses for the first time.
    pub(crate) async fn joined(
        &self,
        context: &Context,
        session: &Arc<Session>,
        lease: &Lease,
        as_of: u64,
    ) {
        self.pass_level(context, session, lease.handle(), as_of)
            .await;
        if session.listens()
            && let Err(error) = lease.link.listen(&context.caller).await
        {
            tracing::debug!(server = %lease.key.server(), %error, "a stream to the server cannot be opened");
        }
    }

    /// Passes the session's level to one server, to which the caller was authorized at the count `as_of`. A program
    /// shared over a pipe gets the lowest level of all its sessions; each session still receives only what it asked
    /// for. A server that does not answer in time is not waited for.
    pub(crate) async fn pass_level(
        &self,
        context: &Context,
        session: &Arc<Session>,
        handle: &Arc<Handle>,
        as_of: u64,
    ) {
        let limit = handle.spec.server.limits.list_timeout;
        let passing = self.send_level(context, session, handle, as_of);
        if tokio::time::timeout(limit, passing).await.is_err() {
            tracing::debug!(server = %handle.key.server(), "the server did not answer the log level");
        }
    }

    async fn send_level(
        &self,
        context: &Context,
        session: &Arc<Session>,
        handle: &Arc<Handle>,
        as_of: u64,
    ) {
        let Some(mut level) = session.facts().log_level.clone() else {
            return;
        };
        if matches!(handle.link, Link::Pipe(_)) {
            level = handle.lowest_level(&level, |text| severity_of(text).unwrap_or(usize::MAX));
        }
        let caller = session.caller();
        let able = handle.link.hello(&caller).await.is_ok_and(|hello| {
            let members = std::str::from_utf8(&hello.result)
                .ok()
                .and_then(Members::read);
            hello.era == Era::Legacy
                && members.is_some_and(|members| has_capability(&members, "logging"))
        });
        let Some(lease) = Lease::of(handle).filter(|_| able) else {
            return;
        };
        let params = format!("{{\"level\":{}}}", quote(&level));
        let message = own(request("\"level\"", method::SET_LEVEL, Some(&params)));
        let check = SendCheck::new(self, context, &handle.key, AllowedBy::Instance, as_of);
        if let Err(error) = ask_for(&lease, &caller, message, Some(&check)).await {
            tracing::debug!(server = %handle.key.server(), %error, "the log level was not taken");
        }
    }
}
