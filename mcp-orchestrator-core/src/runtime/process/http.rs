//! Children that serve HTTP: port allocation, readiness and connections.

use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};

use crate::backoff::Backoff;
use crate::limits::LOOPBACK_CONNECT_TIMEOUT;
use crate::runtime::{BoxedIo, Connect};
use crate::server::PortOwner;

/// How many candidate ports are skipped because another process listens on them over IPv6.
const OTHER_FAMILY_TRIES: usize = 8;

/// The ports assigned to children of one backend.
#[derive(Clone, Debug, Default)]
pub(super) struct Ports(Arc<Mutex<HashSet<u16>>>);

/// The port of a child, reserved until this value is dropped.
#[derive(Debug)]
pub(super) struct Port {
    number: u16,
    ports: Ports,
}

/// Connects to a port on this machine.
#[derive(Debug)]
pub(super) struct ChildConnect {
    address: SocketAddr,
    answering: Answering,
}

/// Which processes may answer on a child's port.
#[derive(Clone, Debug)]
pub(super) enum Answering {
    /// The processes with these IDs, members of groups with these IDs, and their descendants.
    Family(Arc<[i32]>),
    /// Any process.
    Any,
}

// === impl Ports ===

impl Ports {
    /// Reserves this port, or a free one.
    pub(super) async fn take(&self, wanted: Option<u16>) -> io::Result<Port> {
        // Limited, so that a process that listens on many IPv6 ports cannot block starts; every connection is checked
        // anyway.
        let mut tries = OTHER_FAMILY_TRIES;
        loop {
            let address = (Ipv4Addr::LOCALHOST, wanted.unwrap_or(0));
            let listener = TcpListener::bind(address).await?;
            let number = listener.local_addr()?.port();
            if wanted.is_none() && tries > 0 && is_taken_over_v6(number).await {
                tries -= 1;
                continue;
            }
            let new = self.0.lock().insert(number);
            if new {
                let ports = self.clone();
                return Ok(Port { number, ports });
            }
            if wanted.is_some() {
                return Err(io::ErrorKind::AddrInUse.into());
            }
        }
    }
}

// === impl Port ===

impl Port {
    pub(super) fn number(&self) -> u16 {
        self.number
    }

    /// Waits until the child accepts connections and returns its address. A program that listens on `localhost` may
    /// use either address family. Calls `foreign` each time another process answers.
    pub(super) async fn accepts(
        &self,
        answering: &Answering,
        foreign: impl Fn(&io::Error),
    ) -> SocketAddr {
        let addresses = [
            SocketAddr::from((Ipv4Addr::LOCALHOST, self.number)),
            SocketAddr::from((Ipv6Addr::LOCALHOST, self.number)),
        ];
        let mut backoff = Backoff::new(Duration::from_millis(5), Duration::from_millis(100));
        loop {
            for address in addresses {
                match connect(address, answering).await {
                    Ok(_) => return address,
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                        foreign(&error);
                    }
                    Err(_) => {}
                }
            }
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }
}

/// Returns `true` if this port is in use on the IPv6 loopback address, if there is one.
async fn is_taken_over_v6(port: u16) -> bool {
    let bound = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await;
    bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
}

impl Drop for Port {
    fn drop(&mut self) {
        self.ports.0.lock().remove(&self.number);
    }
}

// === impl ChildConnect ===

impl ChildConnect {
    pub(super) fn new(address: SocketAddr, answering: Answering) -> Self {
        Self { address, answering }
    }
}

#[async_trait]
impl Connect for ChildConnect {
    async fn connect(&self) -> io::Result<BoxedIo> {
        Ok(Box::new(connect(self.address, &self.answering).await?))
    }
}

// === impl Answering ===

impl Answering {
    pub(super) fn new(owner: PortOwner, roots: Vec<i32>) -> Self {
        match owner {
            PortOwner::Server => Self::Family(roots.into()),
            PortOwner::Any => Self::Any,
        }
    }

    /// Rejects a connection to a foreign process, before anything is sent.
    #[cfg(target_os = "linux")]
    async fn check(&self, stream: &TcpStream) -> io::Result<()> {
        match self {
            Self::Family(roots) => super::connection_owner::check(stream, roots).await,
            Self::Any => Ok(()),
        }
    }

    /// Other systems do not reveal the owner of a socket.
    #[cfg(not(target_os = "linux"))]
    async fn check(&self, _stream: &TcpStream) -> io::Result<()> {
        Ok(())
    }
}

async fn connect(address: SocketAddr, answering: &Answering) -> io::Result<TcpStream> {
    let connecting = TcpStream::connect(address);
    let stream = tokio::time::timeout(LOOPBACK_CONNECT_TIMEOUT, connecting).await??;
    // A connection to an unused port in the ephemeral range can connect to itself.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    answering.check(&stream).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn port_is_allocated_once() {
        let ports = Ports::default();
        let first = ports.take(None).await.unwrap();
        let again = ports.take(Some(first.number())).await.unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AddrInUse);
        let number = first.number();
        drop(first);
        assert_eq!(ports.take(Some(number)).await.unwrap().number(), number);
    }

    #[cfg(feature = "test-util")]
    #[tokio::test]
    async fn child_port_upholds_the_connector_contract() {
        let peer = crate::testing::connect::HttpPeer::start().await;
        let own = i32::try_from(std::process::id()).unwrap();
        for owner in [PortOwner::Server, PortOwner::Any] {
            let connect = ChildConnect::new(peer.address(), Answering::new(owner, vec![own]));
            crate::testing::connect::suite(&connect).await;
        }
    }

    #[tokio::test]
    async fn port_is_ready_once_the_server_accepts() {
        let ports = Ports::default();
        let port = ports.take(None).await.unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.number()));
        let listen = TcpListener::bind(address);
        let own = i32::try_from(std::process::id()).unwrap();
        let answering = Answering::new(PortOwner::Server, vec![own]);
        let (accepts, _listener) = tokio::join!(port.accepts(&answering, |_| {}), listen);
        assert_eq!(accepts, address);
        let connected = ChildConnect::new(address, answering).connect().await;
        assert!(connected.is_ok());
    }
}
