//! The two transports. Accepted sockets send without delay: rmcp writes the priming event and the answer apart,
//! and with Nagle's algorithm the second waits for the peer's delayed acknowledgement.

use std::{error::Error, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, middleware, serve::ListenerExt as _};
use rmcp::{
    ServiceExt as _,
    transport::{
        StreamableHttpServerConfig, StreamableHttpService, stdio as standard_streams,
        streamable_http_server::session::local::LocalSessionManager,
    },
};
use tokio::net::TcpListener;

use crate::{handler::Fixture, reconnection};

/// When a client whose stream ended may come back.
const RETRY: Duration = Duration::from_millis(500);

/// Serves one peer over standard input and output until either side ends.
pub(crate) async fn stdio(fixture: Fixture) -> Result<(), Box<dyn Error>> {
    fixture.serve(standard_streams()).await?.waiting().await?;
    Ok(())
}

/// Serves streamable HTTP at `/mcp`, with sessions for legacy peers, until the process is told to end.
pub(crate) async fn http(fixture: &Fixture, address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(address).await?;
    announce(listener.local_addr()?);
    let listener = listener.tap_io(|socket| {
        // A socket that refuses is one that the peer has closed already.
        let _ = socket.set_nodelay(true);
    });
    let fixture = fixture.clone();
    let service = StreamableHttpService::new(
        move || Ok(fixture.with_own_session()),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default()
            .with_allowed_origins(["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"])
            .with_sse_retry(Some(RETRY))
            .with_max_request_body_bytes(reconnection::MAX_BODY),
    );
    let router = Router::new()
        .route_service("/mcp", service)
        .layer(middleware::from_fn(reconnection::end_stream));
    axum::serve(listener, router).await?;
    Ok(())
}

#[expect(
    clippy::print_stdout,
    reason = "whoever started it reads the address from standard output"
)]
fn announce(address: SocketAddr) {
    println!("listening on http://{address}/mcp");
}
