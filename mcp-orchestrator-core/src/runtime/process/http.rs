//! Children that speak HTTP: their port, when they are ready, and how they are connected to.

use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::{TcpListener, TcpStream};

use crate::runtime::{BoxedIo, Connect};

/// For one attempt to connect on this machine.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Ports that were given to children of one backend.
#[derive(Clone, Debug, Default)]
pub(super) struct Ports(Arc<Mutex<HashSet<u16>>>);

/// A child's port, its own until this is dropped.
#[derive(Debug)]
pub(super) struct Port {
    number: u16,
    ports: Ports,
}

/// Connects to a port of this machine.
#[derive(Debug)]
pub(super) struct TcpConnect(SocketAddr);

// === impl Ports ===

impl Ports {
    /// This port, or a free one.
    pub(super) async fn take(&self, wanted: Option<u16>) -> io::Result<Port> {
        loop {
            let address = (Ipv4Addr::LOCALHOST, wanted.unwrap_or(0));
            let listener = TcpListener::bind(address).await?;
            let number = listener.local_addr()?.port();
            let new = self.lock().insert(number);
            if new {
                let ports = self.clone();
                return Ok(Port { number, ports });
            }
            if wanted.is_some() {
                return Err(io::ErrorKind::AddrInUse.into());
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<u16>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Port ===

impl Port {
    pub(super) fn number(&self) -> u16 {
        self.number
    }

    /// The address on which something accepts connections at last. A program that listens on `localhost` may mean
    /// either family.
    pub(super) async fn accepts(&self) -> SocketAddr {
        let addresses = [
            SocketAddr::from((Ipv4Addr::LOCALHOST, self.number)),
            SocketAddr::from((Ipv6Addr::LOCALHOST, self.number)),
        ];
        let mut pause = Duration::from_millis(5);
        loop {
            for address in addresses {
                if connect(address).await.is_ok() {
                    return address;
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.ports.lock().remove(&self.number);
    }
}

// === impl TcpConnect ===

impl TcpConnect {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self(address)
    }
}

#[async_trait]
impl Connect for TcpConnect {
    async fn connect(&self) -> io::Result<BoxedIo> {
        Ok(Box::new(connect(self.0).await?))
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await??;
    // A connection to a free port of the range from which the system takes our own can meet itself.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_is_given_once() {
        let ports = Ports::default();
        let first = ports.take(None).await.unwrap();
        let again = ports.take(Some(first.number())).await.unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AddrInUse);
        let number = first.number();
        drop(first);
        assert_eq!(ports.take(Some(number)).await.unwrap().number(), number);
    }

    #[tokio::test]
    async fn ready_is_who_accepts() {
        let ports = Ports::default();
        let port = ports.take(None).await.unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.number()));
        let listen = TcpListener::bind(address);
        let (accepts, _listener) = tokio::join!(port.accepts(), listen);
        assert_eq!(accepts, address);
        assert!(TcpConnect::new(address).connect().await.is_ok());
    }
}
