//! A socket to a gateway on which a test can send any bytes.

use std::net::SocketAddr;

use mcp_orchestrator_tests::wait::within;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    pub(crate) async fn new(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    pub(crate) async fn with(address: SocketAddr, bytes: &[u8]) -> Self {
        let mut raw = Self::new(address).await;
        raw.send(bytes).await;
        raw
    }

    /// Sends bytes; returns `false` once the peer no longer accepts any.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).await.is_ok()
    }

    /// Returns everything received until the gateway closes the connection.
    pub(crate) async fn rest(&mut self, what: &str) -> Vec<u8> {
        let mut all = Vec::new();
        // A reset also ends the connection.
        let _ = within(what, self.0.read_to_end(&mut all)).await;
        all
    }

    /// Returns the same as text.
    pub(crate) async fn text_to_end(&mut self, what: &str) -> String {
        String::from_utf8_lossy(&self.rest(what).await).into_owned()
    }

    /// Returns everything received up to the end of a response's head.
    pub(crate) async fn head(&mut self) -> String {
        let mut all = Vec::new();
        let reading = async {
            while !all.windows(4).any(|four| four == b"\r\n\r\n") {
                if self.0.read_buf(&mut all).await.unwrap_or(0) == 0 {
                    break;
                }
            }
        };
        within("a response's head", reading).await;
        String::from_utf8_lossy(&all).into_owned()
    }
}

/// The head of a POST by Ann.
pub(crate) fn post(path: &str, headers: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nx-user: ann\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\n{headers}\r\n"
    )
}
