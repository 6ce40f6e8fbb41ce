//! Calls of legacy sessions: they go on although the client's connection may break, and a slow one becomes a stream
//! that the client can read again.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use tokio_util::task::TaskTracker;

use super::Inner;
use super::context::Context;
use crate::call::{Call, Reply, ReplyItem};
use crate::error::{Error, ErrorKind, Result};
use crate::session::{InFlight, Session};

/// A call that takes longer is answered by a stream.
const STREAM_AFTER: Duration = Duration::from_secs(1);

/// A call under way. Dropped before its end, it goes on as a task: only its client ends it, by a notification or with
/// the session.
struct GoingOn<'a> {
    future: BoxFuture<'static, Result<Reply>>,
    in_flight: Option<InFlight>,
    tasks: &'a TaskTracker,
}

impl Drop for GoingOn<'_> {
    fn drop(&mut self) {
        let Some(in_flight) = self.in_flight.take() else {
            return;
        };
        let nothing = futures_util::future::pending().boxed();
        let future = std::mem::replace(&mut self.future, nothing);
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

impl Inner {
    /// Carries out a request of a session.
    pub(super) async fn session_call(
        self: &Arc<Self>,
        session: Arc<Session>,
        call: Call,
    ) -> Result<Reply> {
        let id = call.message.id_bytes().unwrap_or_default();
        let in_flight = session.begin(id.clone()).ok_or_else(|| in_use(&id))?;
        let context = Context::legacy(&session, &call);
        let inner = Arc::clone(self);
        let cancelled = in_flight.token().clone();
        let (message, headers) = (call.message, call.headers);
        let future = async move {
            tokio::select! {
                reply = inner.dispatch_and_tell(context, message, headers) => reply,
                () = cancelled.cancelled() => Err(Error::new(ErrorKind::Cancelled, "the call was cancelled")),
            }
        };
        let tasks = self.pool.tasks();
        let mut going = GoingOn {
            future: future.boxed(),
            in_flight: Some(in_flight),
            tasks,
        };
        let answer = tokio::time::timeout(STREAM_AFTER, &mut going.future).await;
        let Some(in_flight) = going.in_flight.take() else {
            return Err(Error::new(ErrorKind::Internal, "a call that nobody began"));
        };
        let reply = match answer {
            Ok(reply) => reply?,
            Err(_) => {
                let nothing = futures_util::future::pending().boxed();
                later(std::mem::replace(&mut going.future, nothing))
            }
        };
        match reply.into_ready() {
            Ok(response) => Ok(Reply::ready(response)),
            Err(stream) => Ok(session.keep(stream, in_flight, tasks)),
        }
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
