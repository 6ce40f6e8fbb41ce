//! The two transports. Over HTTP each era has a separate service, because only a legacy stream can be resumed: a modern
//! client that closes its stream cancels its call. Accepted sockets use TCP_NODELAY: rmcp writes the priming event and
//! the response separately, and with Nagle's algorithm the second would wait for the peer's delayed acknowledgement.

use std::{error::Error, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::Request, http::HeaderMap, middleware, serve::ListenerExt as _};
use rmcp::{
    ServiceExt as _,
    transport::{
        StreamableHttpServerConfig, StreamableHttpService, stdio as standard_streams,
        streamable_http_server::session::local::LocalSessionManager,
    },
};
use tokio::net::TcpListener;
use tower::ServiceExt as _;

use crate::{handler::Fixture, recall::Recall, reconnection};

/// The delay before a client with a broken stream may reconnect.
const RETRY: Duration = Duration::from_millis(500);

/// The version with stateless requests.
const MODERN: &str = "2026-07-28";

/// Serves one peer over standard input and output until either side closes.
pub(crate) async fn stdio(fixture: Fixture) -> Result<(), Box<dyn Error>> {
    fixture.serve(standard_streams()).await?.waiting().await?;
    Ok(())
}

/// Serves streamable HTTP at `/mcp`, with sessions for legacy peers, until the process is signalled.
pub(crate) async fn http(fixture: &Fixture, address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(address).await?;
    announce(listener.local_addr()?);
    let listener = listener.tap_io(|socket| {
        // Setting the option fails only if the peer has already closed the socket.
        let _ = socket.set_nodelay(true);
    });
    let legacy = LocalSessionManager::default().with_event_store(Arc::new(Recall::new()));
    let legacy = service(fixture, legacy);
    let modern = service(fixture, LocalSessionManager::default());
    let either = tower::service_fn(move |request: Request| {
        let service = if is_modern(request.headers()) {
            modern.clone()
        } else {
            legacy.clone()
        };
        service.oneshot(request)
    });
    let router = Router::new()
        .route_service("/mcp", either)
        .layer(middleware::from_fn(reconnection::end_stream));
    axum::serve(listener, router).await?;
    Ok(())
}

fn service(
    fixture: &Fixture,
    sessions: LocalSessionManager,
) -> StreamableHttpService<Fixture, LocalSessionManager> {
    let fixture = fixture.clone();
    StreamableHttpService::new(
        move || Ok(fixture.with_own_session()),
        Arc::new(sessions),
        StreamableHttpServerConfig::default()
            .with_allowed_origins(["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"])
            .with_sse_retry(Some(RETRY))
            .with_max_request_body_bytes(reconnection::MAX_BODY),
    )
}

fn is_modern(headers: &HeaderMap) -> bool {
    let version = headers.get("mcp-protocol-version");
    version.is_some_and(|version| version.as_bytes() == MODERN.as_bytes())
}

#[expect(
    clippy::print_stdout,
    reason = "whoever started it reads the address from standard output"
)]
fn announce(address: SocketAddr) {
    println!("listening on http://{address}/mcp");
}
