//! Passes a session's log level on to its servers.

use std::sync::Arc;

use super::initialize::has_capability;
use crate::call::{Reply, own};
use crate::catalog::ask;
use crate::error::Result;
use crate::jsonrpc::{Members, Message, quote, request, text};
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
            session.set_level(&level);
            for handle in session.handles() {
                if self.right_to(context, &handle.key).await.holds() {
                    self.pass_level(session, &handle).await;
                }
            }
        }
        Ok(empty(message))
    }

    /// Passes the session's level to one server. A program shared over a pipe gets the lowest level of all its
    /// sessions; each session still receives only what it asked for.
    pub(crate) async fn pass_level(&self, session: &Arc<Session>, handle: &Arc<Handle>) {
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
        if let Err(error) = ask(&lease, &caller, message).await {
            tracing::debug!(server = %handle.key.server(), %error, "the log level was not taken");
        }
    }
}
