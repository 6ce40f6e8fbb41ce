//! One connection: TLS if the listener has it, HTTP version negotiation, requests, and their deadlines.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use mcp_orchestrator_core::auth::{LoopbackListener, Network};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::body::TimedBody;
use super::connections::{Admitted, Slot};
use super::quiet::Quiet;
use super::stalls::Stalls;
use super::stream::Draining;
use super::{ConnectionLimits, LiveRoutes};
use crate::limits;
use crate::request::connection::OverTls;
use crate::request::forwarded::Forwarded;

/// How long a graceful close of a connection may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Properties of a connection that its requests inherit.
#[derive(Clone, Copy)]
pub(super) struct ConnectionInfo {
    peer: SocketAddr,
    loopback: bool,
    tls: bool,
}

impl ConnectionInfo {
    pub(super) fn new(peer: SocketAddr, loopback: bool) -> Self {
        Self {
            peer,
            loopback,
            tls: false,
        }
    }

    /// Adds these properties to the request's extensions.
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

/// The routes and the TLS configuration that a connection is served with, and when it ends.
pub(super) struct ConnectionService {
    pub(super) routes: LiveRoutes,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<crate::Tls>,
    /// Cancelled to finish the requests of the connection and close it.
    pub(super) stopping: CancellationToken,
    /// Cancelled to close the connection at once.
    pub(super) cut: CancellationToken,
}

/// Why a connection is closed before its client closes it.
enum Cause {
    Stopping,
    Stalled,
    Idle,
}

impl ConnectionService {
    /// Performs the TLS handshake if the listener has TLS, then serves the connection.
    pub(super) async fn accept(
        self,
        stream: TcpStream,
        (about, limits): (ConnectionInfo, ConnectionLimits),
        admitted: Admitted,
    ) {
        // Without TCP_NODELAY, a small event would wait until the previous one is acknowledged.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "nodelay was refused");
        }
        let slot = Arc::clone(&admitted.slot);
        let (closed, cut, stopping) = (slot.closed.clone(), self.cut, self.stopping);
        let mut ended = Quiet::new(async move {
            // `closed` is cancelled to make room for other connections.
            tokio::select! {
                () = closed.cancelled() => {}
                () = cut.cancelled() => {}
            }
        });
        let serving = async move {
            #[cfg(feature = "tls")]
            if let Some(tls) = self.tls {
                match tls.accept(stream, limits.handshake_timeout).await {
                    Ok(stream) => {
                        let about = ConnectionInfo { tls: true, ..about };
                        serve(stream, (about, limits), self.routes, (&slot, stopping)).await;
                    }
                    Err(error) => {
                        tracing::debug!(peer = %about.peer, %error, "TLS handshake failed");
                    }
                }
                return;
            }
            serve(stream, (about, limits), self.routes, (&slot, stopping)).await;
        };
        let mut serving = Box::pin(serving);
        tokio::select! {
            biased;
            () = &mut serving => {}
            () = &mut ended => {}
        }
        drop(admitted);
    }
}

fn builder(limits: &ConnectionLimits) -> auto::Builder<TokioExecutor> {
    // HTTP/2 limits are 32-bit.
    let number = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(limits::MAX_HEAD_LEN)
        .max_headers(limits::MAX_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(number(limits::MAX_HEAD_LEN))
        .max_concurrent_streams(number(limits::MAX_HTTP2_STREAMS))
        .max_pending_accept_reset_streams(limits::MAX_HTTP2_PENDING_RESETS)
        .max_local_error_reset_streams(limits::MAX_HTTP2_LOCAL_RESETS)
        .max_send_buf_size(limits::MAX_HTTP2_SEND_BUFFER)
        .keep_alive_interval(limits::HTTP2_PING_INTERVAL)
        .keep_alive_timeout(limits::HTTP2_PING_TIMEOUT);
    builder
}

async fn serve<S>(
    stream: S,
    (about, limits): (ConnectionInfo, ConnectionLimits),
    live: LiveRoutes,
    (slot, stopping): (&Arc<Slot>, CancellationToken),
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (held, timed) = (Arc::clone(slot), limits.clone());
    let stalls = Stalls::new(&limits);
    let handed = Arc::clone(&stalls);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let routes = live.0.load_full();
        about.tell(&mut request, routes.trusted());
        let stalls = (request.version() == Version::HTTP_2).then(|| Arc::clone(&handed));
        let busy = held.request();
        let (parts, body) = request.into_parts();
        let request = (parts, TimedBody::new(body, &timed));
        routes.answer(request, about.peer, (busy, stalls))
    });
    let builder = builder(&limits);
    let stream = TokioIo::new(Draining::new(stream, limits.write_timeout));
    let serving = builder.serve_connection_with_upgrades(stream, service);
    let mut serving = std::pin::pin!(serving);
    let mut closing = Quiet::new(async {
        tokio::select! {
            () = stopping.cancelled() => Cause::Stopping,
            () = stalls.stalled() => Cause::Stalled,
            () = slot.idle(&limits) => Cause::Idle,
        }
    });
    let cause = tokio::select! {
        biased;
        served = &mut serving => Err(served),
        cause = &mut closing => Ok(cause),
    };
    let served = match cause {
        Err(served) => served,
        Ok(Cause::Stopping) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
        Ok(Cause::Stalled) => {
            let text = "the client takes nothing of a response";
            tracing::debug!(peer = %about.peer, "a connection is closed: {text}");
            Ok(())
        }
        Ok(Cause::Idle) => {
            serving.as_mut().graceful_shutdown();
            let closed = tokio::time::timeout(CLOSE_TIMEOUT, serving).await;
            closed.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = served {
        tracing::debug!(peer = %about.peer, error, "a connection ended");
    }
}
