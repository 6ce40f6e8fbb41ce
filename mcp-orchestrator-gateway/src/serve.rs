//! A server for programs that have none: accepts, serves, drains.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use mcp_orchestrator_core::auth::LoopbackListener;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::health::{Readiness, health_router};

/// How long a client may take to send the head of a request.
const HEAD: Duration = Duration::from_secs(30);
/// Before accepting again after the system refused.
const REFUSED: Duration = Duration::from_millis(100);

/// When to stop, and how long running requests may take then.
#[derive(Debug)]
pub struct Shutdown<F> {
    /// Ends when the server is to stop.
    pub when: F,
    /// For running requests.
    pub grace: Duration,
}

/// Serves the endpoint, with `/healthz` and `/readyz` beside it, until told to stop; then lets requests finish, and cuts
/// those that take longer than the grace.
///
/// # Cancel safety
/// Dropping the future stops at once: every connection is cut.
pub async fn serve<F: Future<Output = ()> + Send>(
    listener: TcpListener,
    router: Router,
    shutdown: Shutdown<F>,
) {
    serve_with(
        listener,
        router.merge(health_router(Readiness::default())),
        shutdown,
    )
    .await;
}

/// Serves any router the same way.
pub async fn serve_with<F: Future<Output = ()> + Send>(
    listener: TcpListener,
    router: Router,
    shutdown: Shutdown<F>,
) {
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
                let serving = connection(stream, peer, loopback, router.clone(), stopping.clone());
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

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    loopback: bool,
    router: Router,
    stopping: CancellationToken,
) {
    // Small events must not wait for the acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "nodelay was refused");
    }
    let service = service_fn(move |mut request: Request<Incoming>| {
        if loopback {
            request.extensions_mut().insert(LoopbackListener);
        }
        request
            .extensions_mut()
            .insert(axum::extract::ConnectInfo(peer));
        let answer = router.clone().oneshot(request.map(Body::new));
        async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
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
        tracing::debug!(%peer, error, "a connection ended");
    }
}
