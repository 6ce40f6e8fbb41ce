//! A server for programs that have none: accepts, serves, drains.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::response::Response;
use futures_util::FutureExt as _;
use http::Request;
use http::request::Parts;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use mcp_orchestrator_core::auth::{LoopbackListener, Network};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::endpoint::Endpoint;
use crate::forwarded::Forwarded;
use crate::health::{Readiness, health_router};
use crate::resource::well_known;

/// How long a client may take to send the head of a request.
const HEAD: Duration = Duration::from_secs(30);
/// Before accepting again after the system refused.
const REFUSED: Duration = Duration::from_millis(100);

/// In the extensions of a request that came by TLS.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OverTls;

/// When to stop, and how long running requests may take then.
#[derive(Debug)]
pub struct Shutdown<F> {
    /// Ends when the server is to stop.
    pub when: F,
    /// For running requests.
    pub grace: Duration,
}

/// What is served: the endpoint, to which requests go straight, and routes beside it.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    endpoint: Option<Endpoint>,
    others: Router,
    #[cfg(feature = "tls")]
    tls: Option<crate::Tls>,
}

impl From<Router> for Routes {
    fn from(others: Router) -> Self {
        Self {
            others,
            ..Self::default()
        }
    }
}

impl From<Endpoint> for Routes {
    fn from(endpoint: Endpoint) -> Self {
        Self {
            others: endpoint.router().merge(well_known(endpoint.options())),
            endpoint: Some(endpoint),
            ..Self::default()
        }
    }
}

impl Routes {
    /// The same, and these routes beside them.
    ///
    /// # Panics
    /// Where two routes have one path.
    #[must_use]
    pub fn beside(mut self, others: Router) -> Self {
        self.others = self.others.merge(others);
        self
    }

    /// The same, by TLS.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn by_tls(mut self, tls: crate::Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Proxies whose word is believed.
    fn trusted(&self) -> &[Network] {
        let endpoint = self.endpoint.as_ref();
        endpoint.map_or(&[], |endpoint| &endpoint.options().trusted_proxies)
    }

    /// The request comes in its parts, which are lent from here on: a connection moves this future, and all that is in it.
    async fn answer(self: Arc<Self>, parts: Parts, mut body: Incoming) -> Response {
        if let Some(endpoint) = &self.endpoint
            && let Some(gateway) = endpoint.gateway(parts.uri.path())
        {
            return endpoint.answer(gateway, &parts, &mut body).await;
        }
        let others = self.others.clone();
        let request = Request::from_parts(parts, Body::new(body));
        let answer = Box::pin(others.oneshot(request)).await;
        answer.unwrap_or_else(|never| match never {})
    }
}

/// Routes that may become others while they are served. A request is answered by those of when it came.
#[derive(Clone, Debug)]
pub struct LiveRoutes(Arc<ArcSwap<Routes>>);

impl LiveRoutes {
    /// From now on these. The listener's TLS stays the one that it began with.
    pub fn replace(&self, routes: impl Into<Routes>) {
        self.0.store(Arc::new(routes.into()));
    }
}

impl From<Routes> for LiveRoutes {
    fn from(routes: Routes) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(routes)))
    }
}

impl From<Router> for LiveRoutes {
    fn from(routes: Router) -> Self {
        Routes::from(routes).into()
    }
}

impl From<Endpoint> for LiveRoutes {
    fn from(endpoint: Endpoint) -> Self {
        Routes::from(endpoint).into()
    }
}

/// Serves the endpoint, with `/healthz` and `/readyz` beside it, until told to stop; then lets requests finish, and cuts
/// those that take longer than the grace.
///
/// # Cancel safety
/// Dropping the future stops at once: every connection is cut.
pub async fn serve<F: Future<Output = ()> + Send>(
    listener: TcpListener,
    routes: impl Into<Routes>,
    shutdown: Shutdown<F>,
) {
    let health = health_router(Readiness::default());
    serve_with(listener, routes.into().beside(health), shutdown).await;
}

/// Serves other routes the same way, with nothing beside them.
pub async fn serve_with<F: Future<Output = ()> + Send>(
    listener: TcpListener,
    routes: impl Into<LiveRoutes>,
    shutdown: Shutdown<F>,
) {
    let routes = routes.into();
    #[cfg(feature = "tls")]
    let tls = routes.0.load().tls.clone();
    let loopback = listener
        .local_addr()
        .is_ok_and(|address| address.ip().is_loopback());
    let tracker = TaskTracker::new();
    let (stopping, cut) = (CancellationToken::new(), CancellationToken::new());
    let _cut_on_drop = cut.clone().drop_guard();
    let mut when = std::pin::pin!(shutdown.when);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut when => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let about = About {
                    peer,
                    loopback,
                    tls: false,
                };
                let door = Door {
                    routes: routes.clone(),
                    #[cfg(feature = "tls")]
                    tls: tls.clone(),
                };
                let serving = accepted_by(stream, about, door, stopping.clone());
                tracker.spawn(cut.clone().run_until_cancelled_owned(serving));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(REFUSED).await;
            }
        }
    }
    drop(listener);
    stopping.cancel();
    tracker.close();
    if tokio::time::timeout(shutdown.grace, tracker.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            connections = tracker.len(),
            "connections are cut: they did not finish in time"
        );
        cut.cancel();
        tracker.wait().await;
    }
}

/// How a connection came.
#[derive(Clone, Copy)]
struct About {
    peer: SocketAddr,
    loopback: bool,
    tls: bool,
}

impl About {
    /// Tells it to those who answer the request.
    fn tell(self, request: &mut Request<Incoming>, trusted: &[Network]) {
        if self.loopback {
            request.extensions_mut().insert(LoopbackListener);
        }
        if self.tls {
            request.extensions_mut().insert(OverTls);
        }
        if trusted.is_empty() {
            return;
        }
        if let Some(forwarded) = Forwarded::read(request.headers(), self.peer.ip(), trusted) {
            request.extensions_mut().insert(forwarded);
        }
    }
}

/// What a connection comes to.
struct Door {
    routes: LiveRoutes,
    #[cfg(feature = "tls")]
    tls: Option<crate::Tls>,
}

/// Agrees on TLS where the listener has it, and serves.
async fn accepted_by(stream: TcpStream, about: About, door: Door, stopping: CancellationToken) {
    let routes = door.routes;
    // Small events must not wait for the acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "nodelay was refused");
    }
    #[cfg(feature = "tls")]
    if let Some(tls) = door.tls {
        match tls.accept(stream).await {
            Ok(stream) => {
                let about = About { tls: true, ..about };
                connection(stream, about, routes, stopping).await;
            }
            Err(error) => tracing::debug!(peer = %about.peer, %error, "no TLS was agreed on"),
        }
        return;
    }
    connection(stream, about, routes, stopping).await;
}

async fn connection<S>(stream: S, about: About, live: LiveRoutes, stopping: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        let routes = live.0.load_full();
        about.tell(&mut request, routes.trusted());
        let (parts, body) = request.into_parts();
        routes.answer(parts, body).map(Ok::<_, Infallible>)
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_headers(100);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(64 * 1024);
    let serving = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    let served = tokio::select! {
        served = &mut serving => served,
        () = stopping.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(peer = %about.peer, error, "a connection ended");
    }
}
