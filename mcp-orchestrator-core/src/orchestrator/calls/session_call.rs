//! Calls of legacy sessions: they continue if the client's connection breaks, and a slow call becomes a stream that the
//! client can resume.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::request::ClientRequest;
use crate::call::{Call, Reply, ReplyItem};
use crate::error::{Error, ErrorKind, Result};
use crate::orchestrator::state::Inner;
use crate::orchestrator::state::context::{Context, STREAM_AFTER};
use crate::session::{InFlight, Session};

/// A call in progress. If dropped before its end, it continues as a task: only its client ends it, with a notification
/// or with the session.
pub(crate) struct SessionCall<'a> {
    future: BoxFuture<'static, Result<Reply>>,
    session: Arc<Session>,
    in_flight: Option<InFlight>,
    /// When a call without a response is answered with a stream.
    stream_at: Instant,
    tasks: &'a TaskTracker,
}

impl Drop for SessionCall<'_> {
    fn drop(&mut self) {
        let Some(in_flight) = self.in_flight.take() else {
            return;
        };
        let future = self.take();
        if tokio::runtime::Handle::try_current().is_ok() {
            self.tasks.spawn(async move {
                if let Ok(reply) = future.await {
                    // There is no reader left.
                    drop(reply.response().await);
                }
                drop(in_flight);
            });
        }
    }
}

impl SessionCall<'_> {
    /// Returns the response if it is ready soon, otherwise a stream that ends with it.
    pub(crate) async fn reply(&mut self) -> Result<Reply> {
        let answer = tokio::time::timeout_at(self.stream_at, &mut self.future).await;
        let Some(in_flight) = self.in_flight.take() else {
            return Err(Error::new(ErrorKind::Internal, "a call that nobody began"));
        };
        let reply = match answer {
            Ok(reply) => reply?,
            Err(_) => later(self.take()),
        };
        match reply.into_ready() {
            Ok(response) => Ok(Reply::ready(response)),
            Err(stream) => Ok(self.session.keep(stream, in_flight, self.tasks)),
        }
    }

    fn take(&mut self) -> BoxFuture<'static, Result<Reply>> {
        let nothing = futures_util::future::pending().boxed();
        std::mem::replace(&mut self.future, nothing)
    }
}

impl Inner {
    /// Starts a request of a session. This is not async, so that the call's data is moved into its box only once.
    pub(crate) fn session_call(
        self: &Arc<Self>,
        session: Arc<Session>,
        call: Call,
    ) -> Result<SessionCall<'_>> {
        let id = call.message.id_bytes().unwrap_or_default();
        let in_flight = session.begin(id.clone()).ok_or_else(|| in_use(&id))?;
        let begun = Instant::now();
        let stream_at = begun + STREAM_AFTER;
        let mut context = Context::within(&session, call.principal, call.token);
        context.as_of = Some(self.rights.now());
        context.begun = Some(begun);
        let asked = ClientRequest::new(&self.audit.load(), context, call.message, call.headers);
        let (inner, cancelled) = (Arc::clone(self), in_flight.token().clone());
        let future = Box::pin(async move {
            // Pinned here, because the macro would move the future, which is large.
            let reply = std::pin::pin!(inner.dispatch_and_tell(&asked));
            tokio::select! {
                biased;
                reply = reply => reply,
                () = cancelled.cancelled() => Err(Error::new(ErrorKind::Cancelled, "the call was cancelled")),
            }
        });
        Ok(SessionCall {
            future,
            session,
            in_flight: Some(in_flight),
            stream_at,
            tasks: self.pool.tasks(),
        })
    }
}

/// Returns the error for a request with an id that is in use.
fn in_use(id: &[u8]) -> Error {
    let id: String = String::from_utf8_lossy(id).chars().take(100).collect();
    let text = format!(
        "request id {id} belongs to a call of this session that has not ended: give each request an id of its own"
    );
    Error::new(ErrorKind::InvalidRequest, text)
}

/// Returns a stream that begins when the reply is available.
fn later(future: BoxFuture<'static, Result<Reply>>) -> Reply {
    let items = stream::once(future).flat_map(|answer| match answer {
        Ok(reply) => reply.boxed(),
        Err(error) => stream::iter([ReplyItem::Failed(error)]).boxed(),
    });
    Reply::stream(items.boxed())
}
