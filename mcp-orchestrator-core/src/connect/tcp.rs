//! TCP connections: to a child process that listens on a port, and underneath TLS to a remote server.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use super::{BoxedIo, Connect};
use crate::limits::OUTBOUND_CONNECT_TIMEOUT;

/// How long to wait for one address before the next is tried concurrently (RFC 8305).
const HEAD_START: Duration = Duration::from_millis(250);
/// Idle time before keep-alive probes are sent; shorter than the idle timeouts of home routers and cloud load
/// balancers.
const KEEPALIVE: Duration = Duration::from_secs(45);

/// Connects to a host and port. The name is resolved for each connection, and its addresses are tried concurrently.
#[derive(Clone)]
pub struct TcpConnect {
    host: Arc<str>,
    port: u16,
}

impl TcpConnect {
    /// Creates a connector. `host` is a name or an IP address; an IPv6 address may be in brackets.
    pub fn new(host: impl AsRef<str>, port: u16) -> Self {
        let host = host.as_ref();
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        Self {
            host: bare.unwrap_or(host).into(),
            port,
        }
    }

    /// Returns the host, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Opens a new connection with TCP_NODELAY and keep-alive set.
    ///
    /// # Errors
    /// The operating system's error, with host and port; [`TimedOut`](io::ErrorKind::TimedOut) after 15 seconds.
    pub async fn stream(&self) -> io::Result<TcpStream> {
        let connected = tokio::time::timeout(OUTBOUND_CONNECT_TIMEOUT, self.any_address()).await;
        connected
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|error| io::Error::new(error.kind(), format!("{self}: {error}")))
    }

    async fn any_address(&self) -> io::Result<TcpStream> {
        let found = tokio::net::lookup_host((&*self.host, self.port)).await?;
        connect_any(found.collect()).await
    }
}

/// Connects to the first of these addresses that accepts, with TCP_NODELAY and keep-alive set.
pub(crate) async fn connect_any(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let stream = race(in_turns(addresses)).await?;
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
    SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
    Ok(stream)
}

impl fmt::Display for TcpConnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for TcpConnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TcpConnect({self})")
    }
}

/// Keeps the resolver's order, but alternates the address families.
fn in_turns(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (VecDeque<_>, VecDeque<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut turns = VecDeque::new();
    loop {
        let (one, other) = (first.next(), second.next());
        if one.is_none() && other.is_none() {
            return turns;
        }
        turns.extend(one.into_iter().chain(other));
    }
}

/// Returns the first connection that succeeds. The next address is tried when one fails or [`HEAD_START`] has passed.
async fn race(mut addresses: VecDeque<SocketAddr>) -> io::Result<TcpStream> {
    let mut tries = FuturesUnordered::new();
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        tries.extend(addresses.pop_front().map(TcpStream::connect));
        let head_start = async {
            if addresses.is_empty() {
                std::future::pending::<()>().await;
            } else {
                tokio::time::sleep(HEAD_START).await;
            }
        };
        match select(tries.next(), std::pin::pin!(head_start)).await {
            Either::Left((Some(Ok(stream)), _)) => return Ok(stream),
            Either::Left((Some(Err(error)), _)) => failed = error,
            Either::Left((None, _)) => return Err(failed),
            Either::Right(_) => {}
        }
    }
}

#[async_trait]
impl Connect for TcpConnect {
    async fn connect(&self) -> io::Result<BoxedIo> {
        Ok(Box::new(self.stream().await?))
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn name_with_an_unreachable_address_still_connects() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let live = listener.local_addr().unwrap();
        let dead = SocketAddr::from(([127, 0, 0, 1], 1));
        let stream = race([dead, live].into()).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), live);
        let error = race([dead].into()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(race(VecDeque::new()).await.is_err());
    }

    #[cfg(feature = "test-util")]
    #[tokio::test]
    async fn tcp_upholds_the_connector_contract() {
        let peer = crate::testing::connect::HttpPeer::start().await;
        let connect = TcpConnect::new("127.0.0.1", peer.address().port());
        crate::testing::connect::suite(&connect).await;
    }

    #[tokio::test]
    async fn connection_sets_nodelay_and_errors_name_the_address() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connect = TcpConnect::new("127.0.0.1", port);
        let stream = connect.stream().await.unwrap();
        assert!(stream.nodelay().unwrap());
        drop((stream, listener));
        let error = connect.stream().await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("127.0.0.1:{port}: ")), "{error}");
    }

    #[test]
    fn address_families_alternate() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let [a6, b6, c6] = ["[::1]:1", "[::2]:1", "[::3]:1"].map(address);
        let a4 = address("1.1.1.1:1");
        assert_eq!(in_turns(vec![a6, b6, c6, a4]), [a6, a4, b6, c6]);
        assert_eq!(TcpConnect::new("[::1]", 80).to_string(), "[::1]:80");
    }
}
