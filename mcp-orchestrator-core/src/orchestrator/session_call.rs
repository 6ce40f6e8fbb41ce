//! Calls of legacy sessions: they go on although the client's connection may break, and a slow one becomes a stream
//! that the client can read again.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use tokio_util::task::TaskTracker;

use super::Inner;
use super::context::Context;
use super::starting::Asked;
use crate::call::{Call, Reply, ReplyItem};
use crate::error::{Error, ErrorKind, Result};
use crate::session::{InFlight, Session};

/// A call that takes longer is answered by a stream.
const STREAM_AFTER: Duration = Duration::from_secs(1);

/// A call under way. Dropped before its end, it goes on as a task: only its client ends it, by a notification or with
/// the session.
pub(super) struct GoingOn<'a> {
    future: BoxFuture<'static, Result<Reply>>,
    session: Arc<Session>,
    in_flight: Option<InFlight>,
    tasks: &'a TaskTracker,
}

impl Drop for GoingOn<'_> {
    fn drop(&mut self) {
        let Some(in_flight) = self.in_flight.take() else {
            return;
        };
        let future = self.take();
        if tokio::runtime::Handle::try_current().is_ok() {
            self.tasks.spawn(async move {
                if let Ok(reply) = future.await {
                    // Nobody is left who could read it.
                    drop(reply.response().await);
                }
                drop(in_flight);
            });
        }
    }
}

impl GoingOn<'_> {
    /// What comes first: the response, or a stream that ends with it.
    pub(super) async fn reply(&mut self) -> Result<Reply> {
        let answer = tokio::time::timeout(STREAM_AFTER, &mut self.future).await;
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
    /// Begins to carry out a request of a session. Nothing waits here, so that what the call is made of moves into its
    /// box once.
    pub(super) fn session_call(
        self: &Arc<Self>,
        session: Arc<Session>,
        call: Call,
    ) -> Result<GoingOn<'_>> {
        let id = call.message.id_bytes().unwrap_or_default();
        let in_flight = session.begin(id.clone()).ok_or_else(|| in_use(&id))?;
        let context = Context::legacy(self, &session, &call);
        let asked = Asked::new(&self.audit.load(), context, call.message, call.headers);
        let (inner, cancelled) = (Arc::clone(self), in_flight.token().clone());
        let future = async move {
            tokio::select! {
                reply = inner.dispatch_and_tell(&asked) => reply,
                () = cancelled.cancelled() => Err(Error::new(ErrorKind::Cancelled, "the call was cancelled")),
            }
        };
        Ok(GoingOn {
            future: Box::pin(future),
            session,
            in_flight: Some(in_flight),
            tasks: self.pool.tasks(),
        })
    }
}

/// The answer to a request whose id is another one's.
fn in_use(id: &[u8]) -> Error {
    let id: String = String::from_utf8_lossy(id).chars().take(100).collect();
    let text = format!(
        "request id {id} belongs to a call of this session that has not ended: give each request an id of its own"
    );
    Error::new(ErrorKind::InvalidRequest, text)
}

/// A reply that begins later.
fn later(future: BoxFuture<'static, Result<Reply>>) -> Reply {
    let items = stream::once(future).flat_map(|answer| match answer {
        Ok(reply) => reply.boxed(),
        Err(error) => stream::iter([ReplyItem::Failed(error)]).boxed(),
    });
    Reply::stream(items.boxed())
}
