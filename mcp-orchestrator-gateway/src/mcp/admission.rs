//! Ends open streams when their callers lose access.
//!
//! A request is authenticated on arrival, but its stream may be open for hours. The request is therefore authenticated
//! again whenever access may have been revoked, and when its token expires. There is no check per event.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use axum::body::{Body, HttpBody};
use axum::response::Response;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::request::Parts;
use hyper::body::{Frame, SizeHint};
use mcp_orchestrator_core::auth::{
    AccessRevision, Authenticated, Authenticator, Grant, Principal, Standing,
};
use mcp_orchestrator_core::id::GatewayId;
use mcp_orchestrator_core::{ErrorKind, Result};

use super::bodies::{Bodies, BodyMemory};
use crate::mcp::sse::SseClients;

/// The delay before another attempt to authenticate a request if the caller could not be determined.
const RECHECK_INTERVAL: Duration = Duration::from_secs(5);
/// The delay after a token's expiry, so that it has expired in spite of rounding.
const AFTER_EXPIRY: Duration = Duration::from_millis(50);

/// The current authenticator. A reload replaces it, and the new one also checks streams that are already open.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    revision: AccessRevision,
    now: Arc<ArcSwapOption<Arc<dyn Authenticator>>>,
    /// The streams of HTTP+SSE clients, which survive a reload.
    pub(crate) sse: Arc<SseClients>,
    /// The memory of request bodies, including those from before a reload.
    pub(crate) bodies: BodyMemory,
    /// The memory of responses that were not read yet.
    pub(crate) responses: BodyMemory,
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            revision: AccessRevision::default(),
            now: Arc::default(),
            sse: Arc::default(),
            bodies: BodyMemory::new(Bodies::Requests),
            responses: BodyMemory::new(Bodies::Responses),
        }
    }
}

/// The last request of a session, which is authenticated again on behalf of the session.
#[derive(Debug)]
struct Admitted {
    now: Arc<ArcSwapOption<Arc<dyn Authenticator>>>,
    parts: Parts,
    gateway: GatewayId,
    principal: Arc<Principal>,
    expires_at: Option<SystemTime>,
}

#[async_trait]
impl Grant for Admitted {
    async fn standing(&self) -> Standing {
        let Some(now) = self.now.load_full() else {
            return Standing::Unknown;
        };
        match now.authenticate(&self.parts).await {
            Ok(Some(who)) if self.is_of(&who) => Standing::Holds,
            Ok(_) => Standing::Lost,
            // An unreachable issuer does not revoke access.
            Err(error) if error.kind() == ErrorKind::CallerUnknowable => Standing::Unknown,
            Err(_) if self.expires_at.is_some_and(|at| at <= SystemTime::now()) => {
                Standing::Expired
            }
            Err(_) => Standing::Lost,
        }
    }
}

impl Admitted {
    fn is_of(&self, who: &Authenticated) -> bool {
        let elsewhere = who
            .gateway
            .as_ref()
            .is_some_and(|only| *only != self.gateway);
        !elsewhere && is_same(&who.principal, &self.principal)
    }
}

/// Returns `true` if both principals are the same caller, regardless of their teams.
pub(crate) fn is_same(one: &Principal, other: &Principal) -> bool {
    one.id == other.id && one.kind == other.kind
}

/// Checks that a caller that was authenticated again may still use what it opened.
type Check = dyn Fn(Option<Authenticated>) -> Result<Authenticated> + Send + Sync;

impl Admission {
    /// Creates an admission that checks with this authenticator each time the revision advances.
    pub(crate) fn new(revision: AccessRevision, authenticator: Arc<dyn Authenticator>) -> Self {
        let admission = Self {
            revision,
            ..Self::default()
        };
        admission.replace(authenticator);
        admission
    }

    /// Creates an admission that checks nothing until it gets an authenticator.
    #[cfg(feature = "program")]
    pub(crate) fn following(revision: AccessRevision) -> Self {
        Self {
            revision,
            ..Self::default()
        }
    }

    /// Replaces the authenticator, and checks every open stream at once.
    pub(crate) fn replace(&self, authenticator: Arc<dyn Authenticator>) {
        self.now.store(Some(Arc::new(authenticator)));
        self.revision.advance();
    }

    /// Ends the response body when its request is no longer admitted, or when `principal` does not read what it holds.
    pub(crate) fn guard<C>(
        &self,
        response: Response,
        (parts, principal): (&Parts, &Arc<Principal>),
        check: C,
    ) -> Response
    where
        C: Fn(Option<Authenticated>) -> Result<Authenticated> + Send + Sync + 'static,
    {
        let lost = lost(self.clone(), parts.clone(), Box::new(check));
        response.map(|body| {
            Body::new(GuardedBody {
                body: Some(body),
                lost: Box::pin(lost),
                unread: (self.responses.clone(), Arc::clone(principal)),
            })
        })
    }

    /// Returns how often access may have been revoked so far.
    pub(crate) fn count(&self) -> u64 {
        self.revision.count()
    }

    /// Polls a call until it completes, or until access may have been revoked since the count was `seen`. In that case
    /// the call is not polled again, and the error is the current count.
    pub(crate) async fn until_change<F>(&self, seen: u64, call: &mut F) -> Result<F::Output, u64>
    where
        F: Future + Unpin,
    {
        std::future::poll_fn(|cx| {
            let now = self.count();
            if now != seen {
                return Poll::Ready(Err(now));
            }
            Pin::new(&mut *call).poll(cx).map(Ok)
        })
        .await
    }

    /// Returns the grant of a session, from the request that was admitted.
    pub(crate) fn grant(
        &self,
        parts: &Parts,
        gateway: &GatewayId,
        (principal, expires_at): (&Arc<Principal>, Option<SystemTime>),
    ) -> Arc<dyn Grant> {
        Arc::new(Admitted {
            now: Arc::clone(&self.now),
            parts: parts.clone(),
            gateway: gateway.clone(),
            principal: Arc::clone(principal),
            expires_at,
        })
    }

    /// Authenticates this request with the current authenticator.
    pub(crate) async fn authenticate(&self, parts: &Parts) -> Result<Option<Authenticated>> {
        match &*self.now.load() {
            Some(now) => Arc::clone(now).authenticate(parts).await,
            None => Ok(None),
        }
    }
}

/// Completes when a request is no longer admitted.
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
            // An unreachable issuer does not revoke access.
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
struct GuardedBody {
    body: Option<Body>,
    lost: BoxFuture<'static, ()>,
    /// Counts the bytes that the client has not read.
    unread: (BodyMemory, Arc<Principal>),
}

impl GuardedBody {
    /// Counts a frame until it is written. Returns `None` if too much is unread.
    fn count(&self, frame: Frame<Bytes>) -> Option<Frame<Bytes>> {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => return Some(frame),
        };
        let (memory, principal) = &self.unread;
        match memory.response(data, principal) {
            Ok(data) => Some(Frame::data(data)),
            Err(error) => {
                tracing::warn!(principal = %principal.id, %error, "stream ended: its client does not read it");
                None
            }
        }
    }
}

impl HttpBody for GuardedBody {
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
        let frame = match frame {
            Some(Ok(frame)) => this.count(frame).map(Ok),
            frame => frame,
        };
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

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use http::Request;
    use mcp_orchestrator_core::id::PrincipalId;
    use mcp_orchestrator_core::testing::auth::grant;

    use super::*;

    /// Admits every request until access is revoked.
    #[derive(Debug)]
    pub(crate) struct Revocable {
        caller: Arc<Principal>,
        is_revoked: AtomicBool,
    }

    #[async_trait]
    impl Authenticator for Revocable {
        async fn authenticate(&self, _: &Parts) -> Result<Option<Authenticated>> {
            let admitted = !self.is_revoked.load(Ordering::Relaxed);
            Ok(admitted.then(|| Authenticated::new(Arc::clone(&self.caller))))
        }
    }

    impl Revocable {
        pub(crate) fn revoke(&self) {
            self.is_revoked.store(true, Ordering::Relaxed);
        }
    }

    /// Returns the grant of an admitted request, and the authenticator that admitted it.
    pub(crate) fn admitted() -> (Arc<dyn Grant>, Arc<Revocable>) {
        let caller = PrincipalId::new("ann").unwrap();
        let authenticator = Arc::new(Revocable {
            caller: Arc::new(Principal::user(caller, "test")),
            is_revoked: AtomicBool::new(false),
        });
        let admission = Admission::new(
            AccessRevision::default(),
            Arc::<Revocable>::clone(&authenticator),
        );
        let (parts, ()) = Request::new(()).into_parts();
        let by = (&authenticator.caller, None);
        let grant = admission.grant(&parts, &GatewayId::default_gateway(), by);
        (grant, authenticator)
    }

    #[tokio::test]
    async fn admission_upholds_the_grant_contract() {
        let (admitted, authenticator) = admitted();
        grant(&*admitted, async || authenticator.revoke()).await;
    }
}
