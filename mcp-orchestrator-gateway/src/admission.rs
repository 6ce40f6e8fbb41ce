//! Open streams end when what admitted them ends.
//!
//! A request is authenticated when it comes, and a stream may go on for hours after that. Its request is authenticated again
//! whenever access may have been taken away, and when its token expires; nothing is checked per event.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use axum::body::{Body, HttpBody};
use axum::response::Response;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::request::Parts;
use hyper::body::{Frame, SizeHint};
use mcp_orchestrator_core::auth::{AccessRevision, Authenticated, Authenticator};
use mcp_orchestrator_core::{ErrorKind, Result};

use crate::bodies::BodyMemory;
use crate::sse::SseClients;

/// Before a request is authenticated again whose caller could not be determined.
const RECHECK_INTERVAL: Duration = Duration::from_secs(5);
/// After a token's expiry, so that it has expired by any clock's rounding.
const AFTER_EXPIRY: Duration = Duration::from_millis(50);

/// Who is let in now. A reload replaces the authenticator; streams that were opened before are checked by the new one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Admission {
    revision: AccessRevision,
    now: Arc<ArcSwapOption<Arc<dyn Authenticator>>>,
    /// Streams of HTTP+SSE clients, which outlive a reload as well.
    pub(crate) sse: Arc<SseClients>,
    /// The memory of request bodies, of those before a reload too.
    pub(crate) bodies: BodyMemory,
}

/// A check of whether a caller who is authenticated again is still admitted to what it opened.
type Check = dyn Fn(Option<Authenticated>) -> Result<Authenticated> + Send + Sync;

impl Admission {
    /// Checks by this authenticator, each time the revision advances.
    pub(crate) fn new(revision: AccessRevision, authenticator: Arc<dyn Authenticator>) -> Self {
        let admission = Self {
            revision,
            ..Self::default()
        };
        admission.replace(authenticator);
        admission
    }

    /// Checks nothing before it is told an authenticator.
    #[cfg(feature = "program")]
    pub(crate) fn following(revision: AccessRevision) -> Self {
        Self {
            revision,
            ..Self::default()
        }
    }

    /// Checks by another authenticator from now on, and every open stream at once.
    pub(crate) fn replace(&self, authenticator: Arc<dyn Authenticator>) {
        self.now.store(Some(Arc::new(authenticator)));
        self.revision.advance();
    }

    /// Ends the body of a response when its request is not admitted any more.
    pub(crate) fn guard<C>(&self, response: Response, parts: &Parts, check: C) -> Response
    where
        C: Fn(Option<Authenticated>) -> Result<Authenticated> + Send + Sync + 'static,
    {
        let lost = lost(self.clone(), parts.clone(), Box::new(check));
        response.map(|body| {
            Body::new(Guarded {
                body: Some(body),
                lost: Box::pin(lost),
            })
        })
    }

    async fn authenticate(&self, parts: &Parts) -> Result<Option<Authenticated>> {
        match &*self.now.load() {
            Some(now) => Arc::clone(now).authenticate(parts).await,
            None => Ok(None),
        }
    }
}

/// Ends when a request is not admitted any more.
async fn lost(admission: Admission, parts: Parts, check: Box<Check>) {
    let mut changes = admission.revision.subscribe();
    loop {
        changes.mark_unchanged();
        let now = admission.authenticate(&parts).await;
        let pause = match now.and_then(&check) {
            Ok(who) => who.expires_at.map(|at| {
                let left = at.duration_since(SystemTime::now());
                left.map_or(RECHECK_INTERVAL, |left| left + AFTER_EXPIRY)
            }),
            // An issuer that does not answer takes nothing away.
            Err(error) if error.kind() == ErrorKind::CallerUnknowable => Some(RECHECK_INTERVAL),
            Err(error) => {
                tracing::info!(path = parts.uri.path(), %error, "stream ended: its caller lost access");
                return;
            }
        };
        let recheck = async {
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = changes.changed() => {
                if changed.is_err() {
                    std::future::pending::<()>().await;
                }
            }
            () = recheck => {}
        }
    }
}

/// A body that ends early when access is lost.
struct Guarded {
    body: Option<Body>,
    lost: BoxFuture<'static, ()>,
}

impl HttpBody for Guarded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        if this.lost.as_mut().poll(cx).is_ready() {
            this.body = None;
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(body).poll_frame(cx));
        if frame.is_none() {
            this.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
