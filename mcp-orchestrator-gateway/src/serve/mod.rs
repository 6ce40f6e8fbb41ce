//! A server for programs that have none: accepts connections, serves them, and drains them on shutdown.

mod accept;
mod body;
mod connection;
mod connections;
mod limits;
mod quiet;
mod routes;
mod stalls;
mod stream;

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mcp_orchestrator_core::auth::Network;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::accept::{ACCEPT_RETRY_INTERVAL, RateLimitedWarning, refuse};
use self::connection::{ConnectionInfo, ConnectionService};
#[cfg(feature = "pages")]
pub(crate) use self::connections::network;
use self::connections::{Connections, Full};
pub use self::limits::ConnectionLimits;
pub use self::routes::{LiveRoutes, Routes};
use crate::health::{Readiness, health_router};

/// When to stop, and how long running requests may take after that.
#[derive(Debug)]
pub struct Shutdown<F> {
    /// Completes when the server is to stop.
    pub when: F,
    /// How long running requests may take after that.
    pub grace: Duration,
}

/// Serves the endpoint, `/healthz` and `/readyz` until shutdown, then lets running requests finish and cuts any that
/// exceed the grace period.
///
/// # Cancel safety
/// Dropping the future stops at once and cuts every connection.
pub async fn serve<F: Future<Output = ()> + Send>(
    listener: TcpListener,
    routes: impl Into<Routes>,
    shutdown: Shutdown<F>,
) {
    let health = health_router(Readiness::default());
    serve_with(listener, routes.into().beside(health), shutdown).await;
}

/// Serves only these routes, like [`serve`] but without health checks.
pub async fn serve_with<F: Future<Output = ()> + Send>(
    listener: TcpListener,
    routes: impl Into<LiveRoutes>,
    shutdown: Shutdown<F>,
) {
    let mut server = Server::new(&listener, routes.into());
    let _cut_on_drop = server.cut.clone().drop_guard();
    let mut when = std::pin::pin!(shutdown.when);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut when => break,
        };
        match accepted {
            Ok((stream, peer)) => server.take(stream, peer),
            Err(error) => {
                server.failures.warn(&error);
                // The usual cause is a lack of file descriptors, and idle connections hold some.
                server.connections.evict();
                tokio::time::sleep(ACCEPT_RETRY_INTERVAL).await;
            }
        }
    }
    drop(listener);
    server.finish(shutdown.grace).await;
}

/// The state of one listener.
struct Server {
    routes: LiveRoutes,
    #[cfg(feature = "tls")]
    tls: Option<crate::Tls>,
    loopback: bool,
    connections: Arc<Connections>,
    tracker: TaskTracker,
    stopping: CancellationToken,
    cut: CancellationToken,
    failures: RateLimitedWarning,
    refusals: RateLimitedWarning,
}

impl Server {
    fn new(listener: &TcpListener, routes: LiveRoutes) -> Self {
        let first = routes.0.load();
        let address = listener.local_addr();
        Self {
            #[cfg(feature = "tls")]
            tls: first.tls.clone(),
            loopback: address.is_ok_and(|address| address.ip().is_loopback()),
            connections: Connections::new(first.connections.clone()),
            tracker: TaskTracker::new(),
            stopping: CancellationToken::new(),
            cut: CancellationToken::new(),
            failures: RateLimitedWarning::new("connections cannot be accepted"),
            refusals: RateLimitedWarning::new("connection refused"),
            routes,
        }
    }

    /// Serves a connection, or refuses it if there are too many.
    fn take(&mut self, stream: TcpStream, peer: SocketAddr) {
        let shared = is_shared(peer.ip(), self.routes.0.load().trusted());
        match self.connections.admit((!shared).then_some(peer.ip())) {
            Ok(admitted) => {
                let about = ConnectionInfo::new(peer, self.loopback);
                let door = ConnectionService {
                    routes: self.routes.clone(),
                    #[cfg(feature = "tls")]
                    tls: self.tls.clone(),
                    stopping: self.stopping.clone(),
                    cut: self.cut.clone(),
                };
                let limits = self.connections.limits().clone();
                self.tracker
                    .spawn(door.accept(stream, (about, limits), admitted));
            }
            Err(why) => self.refuse(stream, why),
        }
    }

    fn refuse(&mut self, stream: TcpStream, why: Full) {
        self.refusals.warn(&why);
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return;
        }
        if let Err(error) = refuse(stream, why) {
            tracing::debug!(%error, "a refused connection could not be answered");
        }
    }

    async fn finish(self, grace: Duration) {
        self.stopping.cancel();
        self.tracker.close();
        if tokio::time::timeout(grace, self.tracker.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                connections = self.tracker.len(),
                "connections are cut: they did not finish in time"
            );
            self.cut.cancel();
            self.tracker.wait().await;
        }
    }
}

/// Returns `true` if many clients may share this address.
fn is_shared(peer: IpAddr, trusted: &[Network]) -> bool {
    let peer = peer.to_canonical();
    peer.is_loopback() || trusted.iter().any(|network| network.contains(peer))
}
