//! Deadlines and limits of a listener's connections.

use std::time::Duration;

use crate::limits;

/// Deadlines and limits of one listener's connections.
///
/// Clients are unknown until their first request is authenticated, so every stage before that has a deadline. At a
/// limit, the connections that have been idle longest are closed. Only if all are in use is a new one refused, with
/// 503.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionLimits {
    /// From the connection to the head of its first request, including HTTP version negotiation. Over HTTP/1, also from
    /// one request to the head of the next.
    pub head_timeout: Duration,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long an HTTP/2 connection may be without a request.
    pub idle_timeout: Duration,
    /// How long a request body may take, in addition to the time that [`min_body_rate`](Self::min_body_rate) grants for
    /// the bytes received.
    pub body_timeout: Duration,
    /// Bytes per second that a body must average once `body_timeout` has passed.
    pub min_body_rate: usize,
    /// How long a client may read nothing of what is sent to it.
    pub write_timeout: Duration,
    /// Concurrent connections.
    pub connections: usize,
    /// Concurrent connections from one IPv4 address or one IPv6 /64 network. Loopback addresses and trusted proxies are
    /// exempt because many clients share them.
    pub connections_per_address: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            head_timeout: limits::HEAD_TIMEOUT,
            handshake_timeout: limits::TLS_HANDSHAKE_TIMEOUT,
            idle_timeout: limits::IDLE_TIMEOUT,
            body_timeout: limits::BODY_TIMEOUT,
            min_body_rate: limits::MIN_BODY_RATE,
            write_timeout: limits::WRITE_TIMEOUT,
            connections: limits::MAX_CONNECTIONS,
            connections_per_address: limits::MAX_CONNECTIONS_PER_ADDRESS,
        }
    }
}
