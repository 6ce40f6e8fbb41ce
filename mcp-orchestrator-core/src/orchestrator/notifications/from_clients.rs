//! Messages that a legacy client sends without expecting a response: notifications, and answers to servers' requests.
//!
//! Only notifications that the protocol defines for clients are forwarded, and only to instances that the client may
//! use now. A request without an id is not a notification: it would reach a server without having been routed.

use std::sync::Arc;

use crate::audit::Outcome;
use crate::call::{CallEra, Notify};
use crate::error::{ErrorKind, Result};
use crate::jsonrpc::{Kind, Members, Message, Splice};
use crate::orchestrator::authority::{AllowedBy, SendCheck};
use crate::orchestrator::params::ambiguous;
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::audit_trail;
use crate::orchestrator::state::context::Context;
use crate::pool::{Handle, Link};
use crate::protocol::{Era, method};
use crate::session::Session;

impl Inner {
    /// Handles a notification or a response of a client.
    pub(crate) async fn take_notice(self: &Arc<Self>, notify: Notify) -> Result<()> {
        let CallEra::Legacy(Some(id)) = &notify.era else {
            // Over HTTP, a modern client sends no notifications: it cancels by closing the stream.
            return Ok(());
        };
        let session = self.session(id, &notify.principal, &notify.gateway)?;
        session.seen(&notify.principal, None);
        let context = Context::of(&session);
        self.view(&context)?;
        let message = notify.message;
        if message.is_ambiguous() {
            return Err(ambiguous(&message));
        }
        match message.kind() {
            Kind::Response | Kind::Error => self.take_answer(&context, &session, message).await,
            Kind::Notification => self.take_notification(&context, &session, &message).await,
            Kind::Request => tracing::debug!("a request was sent as a notification: dropped"),
        }
        Ok(())
    }

    async fn take_notification(
        &self,
        context: &Context,
        session: &Arc<Session>,
        message: &Message,
    ) {
        let members = message.body().and_then(Members::read).unwrap_or_default();
        match message.method() {
            method::CANCELLED => {
                if let Some(id) = members.get("requestId") {
                    session.cancel(id.as_bytes());
                }
            }
            method::INITIALIZED => {}
            method::PROGRESS => {
                let token = members.get("progressToken");
                let Some((key, own)) = token.and_then(|token| session.awaits_progress(token))
                else {
                    return;
                };
                let mut handles = session.handles().into_iter();
                if let Some(handle) = handles.find(|handle| handle.key == key) {
                    let mut splice = Splice::new();
                    splice.member(message.bytes(), &members, "progressToken", own);
                    let message = message.spliced(&splice);
                    self.pass_on(context, session, &handle, &message).await;
                }
            }
            method::ROOTS_CHANGED => {
                for handle in session.handles() {
                    // A program that is shared by several callers gets no notifications about one of them.
                    let own = *handle.key.scope() == session.scope
                        || !matches!(handle.link, Link::Pipe(_));
                    if own && self.pass_on(context, session, &handle, message).await {
                        let audit = self.audit.load();
                        audit_trail::note(
                            &audit,
                            (&context.principal.id, &context.gateway),
                            method::ROOTS_CHANGED,
                            &handle,
                            Outcome::Ok,
                        );
                    }
                }
            }
            // The name is not logged, because it is the client's text.
            _ => tracing::debug!("a notification that is not a client's was dropped"),
        }
    }

    /// Forwards a notification to a legacy instance. Returns `false` if the instance is modern or the client may not
    /// use it.
    async fn pass_on(
        &self,
        context: &Context,
        session: &Arc<Session>,
        handle: &Arc<Handle>,
        message: &Message,
    ) -> bool {
        let bound = message.names_related_task().then(|| {
            let principal = &context.principal.id;
            self.unseal_related(principal, Some(session), &handle.key, message.clone())
        });
        let message = bound.as_ref().unwrap_or(message);
        let is_modern = matches!(&handle.link, Link::Pipe(pipe) if pipe.hello().era == Era::Modern);
        let as_of = self.rights.now();
        if is_modern || !self.right_to(context, &handle.key).await.holds() {
            return false;
        }
        let check = SendCheck::new(self, context, &handle.key, AllowedBy::Instance, as_of);
        let caller = session.caller();
        let sent = handle.link.notify(message, &caller, Some(&check));
        if let Err(error) = sent.await {
            tracing::debug!(server = %handle.key.server(), %error, "a notification was not passed on");
        }
        true
    }

    /// Passes an answer to the server that asked if the client may still use it. Otherwise the server's request is
    /// refused, as if the client could not be asked.
    async fn take_answer(&self, context: &Context, session: &Arc<Session>, message: Message) {
        let Some(about) = session.about(&message) else {
            tracing::debug!("a client responded to no open request");
            return;
        };
        let Some(key) = about.origin else {
            session.answer(message);
            return;
        };
        let allowed = self.right_to(context, &key).await.holds();
        let outcome = if allowed {
            let principal = &context.principal.id;
            session.answer(self.unseal_related(principal, Some(session), &key, message));
            Outcome::Ok
        } else {
            session.refuse(&message);
            Outcome::Failed(ErrorKind::Forbidden)
        };
        let handle = self.pool.handles().into_iter().find(|it| it.key == key);
        if let Some(handle) = handle {
            audit_trail::note(
                &self.audit.load(),
                (&context.principal.id, &context.gateway),
                &about.method,
                &handle,
                outcome,
            );
        }
    }
}
