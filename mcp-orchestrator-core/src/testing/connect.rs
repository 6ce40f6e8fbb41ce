//! The contract suite of [`Connect`], and a server that its connections can reach.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::runtime::{BoxedIo, Connect};

/// Timeout for a connection and for a response.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Number of connections that are open at the same time.
const CONNECTIONS: usize = 8;

/// Verifies the contract, with a server at the other end that answers HTTP/1 requests; [`HttpPeer`] is one.
///
/// # Panics
/// If the connector violates the contract.
pub async fn suite(connect: &dyn Connect) {
    // Dropped at its first wait: later connections must not be affected.
    drop(connect.connect().now_or_never());
    // Used in another order than they were opened, so they cannot be one connection.
    let (first, second) = (open(connect).await, open(connect).await);
    is_answered(second).await;
    is_answered(first).await;
    drop(open(connect).await);
    let many = join_all((0..CONNECTIONS).map(|_| open(connect))).await;
    join_all(many.into_iter().rev().map(is_answered)).await;
    assert!(!format!("{connect:?}").is_empty());
}

async fn open(connect: &dyn Connect) -> BoxedIo {
    let connected = timeout(TIMEOUT, connect.connect()).await;
    let connected = connected.expect("a connection takes too long");
    connected.expect("the server accepts connections")
}

/// Sends a request over a new connection and expects a response.
async fn is_answered(mut stream: BoxedIo) {
    let exchange = async {
        let request = b"GET / HTTP/1.1\r\nhost: suite\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.expect("it takes a request");
        stream.flush().await.expect("it takes a request");
        let mut head = [0; b"HTTP/1.".len()];
        stream.read_exact(&mut head).await.expect("it answers");
        assert_eq!(&head, b"HTTP/1.");
    };
    timeout(TIMEOUT, exchange)
        .await
        .expect("a response takes too long");
}

/// A server on a loopback port that answers each connection's first request. It ends when this value is dropped.
#[derive(Debug)]
pub struct HttpPeer {
    address: SocketAddr,
    _serving: JoinSet<()>,
}

impl HttpPeer {
    /// Starts a server.
    ///
    /// # Panics
    /// If no port is available.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(answer(stream));
            }
        });
        Self {
            address,
            _serving: serving,
        }
    }

    /// Returns its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Answers the first request of a connection and closes it.
pub async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_buf(&mut request).await {
            Ok(1..) => {}
            // The client closed the connection, which the suite does without a request as well.
            _ => return,
        }
    }
    let response = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    if stream.write_all(response).await.is_ok() {
        let _ = stream.shutdown().await;
    }
}
